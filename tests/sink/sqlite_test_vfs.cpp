#include "sqlite_test_vfs.hpp"

#include <catch2/catch.hpp>
#include <sqlite3.h>

namespace headgate::sink::sqlite::test {
namespace {

struct State {
  sqlite3_vfs* real = nullptr;
  int wal_syncs = 0;
  int database_syncs = 0;
  int wal_write_code = SQLITE_OK;
  int wal_sync_code = SQLITE_OK;
};
State state;

// SQLite allocates szOsFile bytes and sees the first member; the real file follows in the same
// block.
struct File {
  sqlite3_file base;
  int flags;
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

int close(sqlite3_file* f) {
  return real_of(f)->pMethods->xClose(real_of(f));
}
int read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  return real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}
int write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  if (is_wal(f) && state.wal_write_code != SQLITE_OK) {
    return state.wal_write_code;
  }
  return real_of(f)->pMethods->xWrite(real_of(f), from, n, at);
}
int truncate(sqlite3_file* f, sqlite3_int64 size) {
  return real_of(f)->pMethods->xTruncate(real_of(f), size);
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
  return real_of(f)->pMethods->xSync(real_of(f), flags);
}
int file_size(sqlite3_file* f, sqlite3_int64* size) {
  return real_of(f)->pMethods->xFileSize(real_of(f), size);
}
int lock(sqlite3_file* f, int level) {
  return real_of(f)->pMethods->xLock(real_of(f), level);
}
int unlock(sqlite3_file* f, int level) {
  return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
int check_lock(sqlite3_file* f, int* out) {
  return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}
int control(sqlite3_file* f, int op, void* argument) {
  return real_of(f)->pMethods->xFileControl(real_of(f), op, argument);
}
int sector_size(sqlite3_file* f) {
  return real_of(f)->pMethods->xSectorSize(real_of(f));
}
int device(sqlite3_file* f) {
  return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}
int shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}
int shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}
void shm_barrier(sqlite3_file* f) {
  real_of(f)->pMethods->xShmBarrier(real_of(f));
}
int shm_unmap(sqlite3_file* f, int remove) {
  return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

const sqlite3_io_methods kMethods = {2,           close,       read,    write,   truncate,
                                     sync,        file_size,   lock,    unlock,  check_lock,
                                     control,     sector_size, device,  shm_map, shm_lock,
                                     shm_barrier, shm_unmap,   nullptr, nullptr};

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  file_of(file)->flags = flags;
  const int code = state.real->xOpen(state.real, name, real_of(file), flags, out_flags);
  if (real_of(file)->pMethods != nullptr) {
    file->pMethods = &kMethods;
  }
  return code;
}

sqlite3_vfs shim;

}  // namespace

TestVfs::TestVfs() {
  state = {};
  state.real = sqlite3_vfs_find(nullptr);
  REQUIRE(state.real != nullptr);
  shim = *state.real;
  shim.zName = "headgate-test";
  shim.szOsFile = static_cast<int>(sizeof(File)) + state.real->szOsFile;
  shim.xOpen = open;
  REQUIRE(sqlite3_vfs_register(&shim, 1) == SQLITE_OK);
}

TestVfs::~TestVfs() {
  sqlite3_vfs_unregister(&shim);
  sqlite3_vfs_register(state.real, 1);
}

int TestVfs::wal_syncs() const {
  return state.wal_syncs;
}
int TestVfs::database_syncs() const {
  return state.database_syncs;
}
void TestVfs::fail_wal_writes(int code) {
  state.wal_write_code = code;
}
void TestVfs::fail_wal_syncs(int code) {
  state.wal_sync_code = code;
}

}  // namespace headgate::sink::sqlite::test
