#include "power_cut_vfs.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>
#include <sqlite3.h>

namespace headgate::sink::sqlite::test {
namespace {

using OpenDirectory = int (*)(const char*, int*);

struct State {
  sqlite3_vfs* real = nullptr;
  OpenDirectory real_open_directory = nullptr;

  int wal_syncs = 0;
  int database_syncs = 0;
  int wal_write_code = SQLITE_OK;
  int wal_sync_code = SQLITE_OK;

  std::map<std::string, std::string> pragmas;

  std::string folder;
  std::optional<Disk> disk;
  std::uint64_t operations = 0;
  std::uint64_t last = 0;  // 0: it lives on
  std::function<void()> witness;
  bool dead = false;
  bool opened_directory = false;
  std::string last_operation;
};
State state;

enum class Fate { kAlive, kStruck, kDead };

// One more change to the disk.
Fate operation(const std::string& what) {
  if (state.dead) {
    return Fate::kDead;
  }
  ++state.operations;
  if (state.operations != state.last) {
    return Fate::kAlive;
  }
  state.last_operation = what;
  state.dead = true;
  state.witness();
  return Fate::kStruck;
}

// SQLite allocates szOsFile bytes and sees the first member; the real file follows in the same
// block.
struct File {
  sqlite3_file base;
  int flags;
  bool on_disk;  // on the Disk, as `id`
  Disk::FileId id;
};

File* file_of(sqlite3_file* file) {
  return reinterpret_cast<File*>(file);
}
sqlite3_file* real_of(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(file_of(file) + 1);
}
bool is_wal(sqlite3_file* file) {
  return (file_of(file)->flags & SQLITE_OPEN_WAL) != 0;
}
bool is_dead(sqlite3_file* file) {
  return state.dead && file_of(file)->on_disk;
}

const char* kind_of(int flags) {
  if ((flags & SQLITE_OPEN_WAL) != 0) {
    return "log";
  }
  return (flags & SQLITE_OPEN_MAIN_DB) != 0 ? "database" : "journal";
}
std::string described(const char* verb, sqlite3_file* file) {
  return std::string(verb) + " " + kind_of(file_of(file)->flags);
}

int close(sqlite3_file* f) {
  return real_of(f)->pMethods->xClose(real_of(f));
}

int read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  return is_dead(f) ? SQLITE_IOERR_READ : real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}

// Of a write that a kill interrupts, the kernel has taken some whole pages.
std::size_t bytes_before_death(std::size_t bytes, std::uint64_t at) {
  constexpr std::size_t kPage = 4096;
  return state.operations % 2 == 0 ? 0 : std::min<std::size_t>(bytes, kPage - at % kPage);
}

int write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  if (is_wal(f) && state.wal_write_code != SQLITE_OK) {
    return state.wal_write_code;
  }
  if (file_of(f)->on_disk) {
    const std::string_view bytes(static_cast<const char*>(from), static_cast<std::size_t>(n));
    const auto offset = static_cast<std::uint64_t>(at);
    const Fate fate = operation(described(is_wal(f) && at == 0 ? "begin" : "write", f));
    if (fate == Fate::kStruck) {
      state.disk->write(file_of(f)->id, offset,
                        bytes.substr(0, bytes_before_death(bytes.size(), offset)));
    }
    if (fate != Fate::kAlive) {
      return SQLITE_IOERR_WRITE;
    }
    state.disk->write(file_of(f)->id, offset, bytes);
  }
  return real_of(f)->pMethods->xWrite(real_of(f), from, n, at);
}

int truncate(sqlite3_file* f, sqlite3_int64 size) {
  if (file_of(f)->on_disk) {
    if (operation(described("truncate", f)) != Fate::kAlive) {
      return SQLITE_IOERR_TRUNCATE;
    }
    state.disk->truncate(file_of(f)->id, static_cast<std::uint64_t>(size));
  }
  return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

// SQLite's layer syncs the folder together with a journal or log that may be new. That it does so
// is seen, not assumed: it opens the folder only for that.
int open_directory(const char* path, int* descriptor) {
  state.opened_directory = true;
  return state.real_open_directory(path, descriptor);
}

int sync_folder() {
  if (operation("sync folder") != Fate::kAlive) {
    return SQLITE_IOERR_DIR_FSYNC;
  }
  state.disk->sync_folder();
  return SQLITE_OK;
}

int sync(sqlite3_file* f, int flags) {
  if (is_wal(f)) {
    ++state.wal_syncs;
    if (state.wal_sync_code != SQLITE_OK) {
      return state.wal_sync_code;
    }
  } else if ((file_of(f)->flags & SQLITE_OPEN_MAIN_DB) != 0) {
    ++state.database_syncs;
  }
  if (!file_of(f)->on_disk) {
    return real_of(f)->pMethods->xSync(real_of(f), flags);
  }
  if (operation(described("sync", f)) != Fate::kAlive) {
    return SQLITE_IOERR_FSYNC;
  }
  state.opened_directory = false;
  const int code = real_of(f)->pMethods->xSync(real_of(f), flags);
  state.disk->sync(file_of(f)->id);
  return code == SQLITE_OK && state.opened_directory ? sync_folder() : code;
}

int file_size(sqlite3_file* f, sqlite3_int64* size) {
  return is_dead(f) ? SQLITE_IOERR_FSTAT : real_of(f)->pMethods->xFileSize(real_of(f), size);
}
int lock(sqlite3_file* f, int level) {
  return is_dead(f) ? SQLITE_IOERR_LOCK : real_of(f)->pMethods->xLock(real_of(f), level);
}
int unlock(sqlite3_file* f, int level) {
  return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
int check_lock(sqlite3_file* f, int* out) {
  return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

// A PRAGMA is shown to this layer before it runs, with its name and the text of its value
// (https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlpragma), in memory that
// is the statement's own.
int control(sqlite3_file* f, int op, void* argument) {
  if (op == SQLITE_FCNTL_PRAGMA) {
    char** const pragma = static_cast<char**>(argument);
    const auto fixed = state.pragmas.find(pragma[1]);
    if (fixed != state.pragmas.end() && pragma[2] != nullptr) {
      if (std::strlen(pragma[2]) < fixed->second.size()) {
        return SQLITE_MISUSE;
      }
      std::strcpy(pragma[2], fixed->second.c_str());
    }
  }
  return real_of(f)->pMethods->xFileControl(real_of(f), op, argument);
}

int sector_size(sqlite3_file* f) {
  return file_of(f)->on_disk ? static_cast<int>(state.disk->device().sector_bytes)
                             : real_of(f)->pMethods->xSectorSize(real_of(f));
}

// Nothing that would spare SQLite a precaution, but for the one that its own layer claims.
int device(sqlite3_file* f) {
  if (!file_of(f)->on_disk) {
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
  }
  return state.disk->device().powersafe_overwrite ? SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0;
}

int shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return is_dead(f) ? SQLITE_IOERR_SHMMAP
                    : real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}
int shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return is_dead(f) && (flags & SQLITE_SHM_LOCK) != 0
             ? SQLITE_IOERR_SHMLOCK
             : real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}
void shm_barrier(sqlite3_file* f) {
  real_of(f)->pMethods->xShmBarrier(real_of(f));
}
int shm_unmap(sqlite3_file* f, int remove) {
  return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

// Version 2: no memory-mapped files, whose changes would pass by the Disk.
const sqlite3_io_methods kMethods = {2,           close,       read,    write,   truncate,
                                     sync,        file_size,   lock,    unlock,  check_lock,
                                     control,     sector_size, device,  shm_map, shm_lock,
                                     shm_barrier, shm_unmap,   nullptr, nullptr};

// The name that `path` has in the folder on the Disk; nothing when it lies elsewhere.
std::optional<std::string> name_on_disk(const char* path) {
  if (!state.disk || path == nullptr) {
    return std::nullopt;
  }
  const std::string_view text(path);
  const std::string prefix = state.folder + "/";
  if (!text.starts_with(prefix)) {
    return std::nullopt;
  }
  return std::string(text.substr(prefix.size()));
}

int open_real(const char* path, sqlite3_file* file, int flags, int* out_flags) {
  const int code = state.real->xOpen(state.real, path, real_of(file), flags, out_flags);
  if (real_of(file)->pMethods != nullptr) {
    file->pMethods = &kMethods;
  }
  return code;
}

int open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  constexpr int kKept =
      SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  file->pMethods = nullptr;
  file_of(file)->flags = flags;
  file_of(file)->on_disk = false;
  const auto name = (flags & kKept) != 0 ? name_on_disk(path) : std::nullopt;
  if (!name) {
    return open_real(path, file, flags, out_flags);
  }
  if (state.dead) {
    return SQLITE_CANTOPEN;
  }
  auto id = state.disk->find(*name);
  if (!id && (flags & SQLITE_OPEN_CREATE) != 0) {
    if (operation(described("create", file)) != Fate::kAlive) {
      return SQLITE_CANTOPEN;
    }
    id = state.disk->create(*name);
  }
  const int code = open_real(path, file, flags, out_flags);
  if (code == SQLITE_OK && id) {
    file_of(file)->on_disk = true;
    file_of(file)->id = *id;
  }
  return code;
}

int remove(sqlite3_vfs*, const char* path, int sync_directory) {
  const auto name = name_on_disk(path);
  if (!name || (!state.dead && !state.disk->find(*name))) {
    return state.real->xDelete(state.real, path, sync_directory);
  }
  const bool is_log = name->ends_with("-wal");
  if (operation(is_log ? "remove log" : "remove journal") != Fate::kAlive) {
    return SQLITE_IOERR_DELETE;
  }
  const int code = state.real->xDelete(state.real, path, sync_directory);
  state.disk->remove(*name);
  return code == SQLITE_OK && sync_directory != 0 ? sync_folder() : code;
}

sqlite3_vfs shim;

sqlite3_syscall_ptr as_system_call(OpenDirectory function) {
  return reinterpret_cast<sqlite3_syscall_ptr>(function);
}

}  // namespace

PowerCutVfs::PowerCutVfs() {
  state = {};
  state.real = sqlite3_vfs_find(nullptr);
  REQUIRE(state.real != nullptr);
  REQUIRE(state.real->iVersion >= 3);
  state.real_open_directory =
      reinterpret_cast<OpenDirectory>(state.real->xGetSystemCall(state.real, "openDirectory"));
  REQUIRE(state.real_open_directory != nullptr);
  REQUIRE(state.real->xSetSystemCall(state.real, "openDirectory", as_system_call(open_directory)) ==
          SQLITE_OK);
  shim = *state.real;
  shim.zName = "headgate-test";
  shim.szOsFile = static_cast<int>(sizeof(File)) + state.real->szOsFile;
  shim.xOpen = open;
  shim.xDelete = remove;
  REQUIRE(sqlite3_vfs_register(&shim, 1) == SQLITE_OK);
}

PowerCutVfs::~PowerCutVfs() {
  sqlite3_vfs_unregister(&shim);
  sqlite3_vfs_register(state.real, 1);
  state.real->xSetSystemCall(state.real, "openDirectory", nullptr);  // as it was
  state = {};
}

int PowerCutVfs::wal_syncs() const {
  return state.wal_syncs;
}
int PowerCutVfs::database_syncs() const {
  return state.database_syncs;
}
void PowerCutVfs::fail_wal_writes(int code) {
  state.wal_write_code = code;
}
void PowerCutVfs::fail_wal_syncs(int code) {
  state.wal_sync_code = code;
}

void PowerCutVfs::fix_pragma(const std::string& name, const std::string& value) {
  state.pragmas[name] = value;
}

void PowerCutVfs::mount(const std::string& folder, Disk disk) {
  replace_files(folder, disk.files());
  state.folder = folder;
  state.disk = std::move(disk);
  state.operations = 0;
  state.last = 0;
  state.witness = nullptr;
  state.dead = false;
  state.last_operation.clear();
}

const Disk& PowerCutVfs::disk() const {
  REQUIRE(state.disk.has_value());
  return *state.disk;
}

std::uint64_t PowerCutVfs::operations() const {
  return state.operations;
}

void PowerCutVfs::die_at(std::uint64_t operation, std::function<void()> witness) {
  state.last = operation;
  state.witness = std::move(witness);
}

bool PowerCutVfs::dead() const {
  return state.dead;
}

const std::string& PowerCutVfs::last_operation() const {
  return state.last_operation;
}

}  // namespace headgate::sink::sqlite::test
