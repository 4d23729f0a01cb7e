#include "crash_disk.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <unordered_map>
#include <utility>

namespace headgate::sink::sqlite::test {

// Which of several moments a sector, a size or a name is from.
class Disk::Choice {
 public:
  explicit Choice(const PowerCut& cut) : keep_(cut.keep), random_(cut.seed) {
    // Evenly mixed disks would nearly never hold a long run of new sectors, or of old ones.
    constexpr std::array<unsigned, 5> kNewest{3, 20, 50, 80, 97};
    newest_percent_ = kNewest[below(kNewest.size())];
  }

  // A moment in 0 (before all `changes`) … `changes` (after them).
  std::size_t moment(std::size_t changes) {
    if (keep_ != PowerCut::Keep::kSome) {
      return keep_ == PowerCut::Keep::kAll ? changes : 0;
    }
    if (below(100) < newest_percent_) {
      return changes;
    }
    return below(changes + 1);
  }

  bool tears() { return keep_ == PowerCut::Keep::kSome && below(2) == 0; }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  char garbage() { return static_cast<char>(random_()); }

 private:
  PowerCut::Keep keep_;
  std::mt19937_64 random_;
  std::size_t newest_percent_ = 0;
};

Disk::FileId Disk::add_durable(const std::string& name, std::string content) {
  files_.push_back({std::move(content), {}});
  names_[name] = {files_.size() - 1, {}};
  return files_.size() - 1;
}

std::optional<Disk::FileId> Disk::find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? Entry{} : found->second.current();
}

Disk::FileId Disk::create(const std::string& name) {
  files_.emplace_back();
  names_[name].pending.emplace_back(files_.size() - 1);
  return files_.size() - 1;
}

void Disk::remove(const std::string& name) {
  names_[name].pending.emplace_back();
}

void Disk::sync_folder() {
  if (!device_.honours_syncs) {
    return;
  }
  for (auto& [text, name] : names_) {
    name.durable = name.current();
    name.pending.clear();
  }
}

void Disk::write(FileId file, std::uint64_t offset, std::string_view bytes) {
  files_[file].pending.push_back({offset, std::string(bytes), false});
}

void Disk::truncate(FileId file, std::uint64_t size) {
  files_[file].pending.push_back({size, {}, true});
}

void Disk::sync(FileId file) {
  if (device_.honours_syncs) {
    files_[file].durable = content(files_[file]);
    files_[file].pending.clear();
  }
}

void Disk::apply(const Change& change, std::string& content) {
  if (change.truncates) {
    content.resize(change.offset);
    return;
  }
  content.resize(std::max<std::size_t>(content.size(), change.offset + change.bytes.size()));
  content.replace(change.offset, change.bytes.size(), change.bytes);
}

std::string Disk::content(const File& file) {
  std::string result = file.durable;
  for (const Change& change : file.pending) {
    apply(change, result);
  }
  return result;
}

std::map<std::string, std::string> Disk::files() const {
  std::map<std::string, std::string> result;
  for (const auto& [text, name] : names_) {
    if (name.current()) {
      result[text] = content(files_[*name.current()]);
    }
  }
  return result;
}

Disk Disk::after(const PowerCut& cut) const {
  Choice choice(cut);
  Disk result(device_);
  for (const auto& [text, name] : names_) {
    const std::size_t moment = choice.moment(name.pending.size());
    const Entry& entry = moment == 0 ? name.durable : name.pending[moment - 1];
    if (entry) {
      result.add_durable(text, surviving(files_[*entry], choice));
    }
  }
  return result;
}

std::string Disk::surviving(const File& file, Choice& choice) const {
  const std::size_t changes = file.pending.size();
  const std::size_t size_moment = choice.moment(changes);
  std::unordered_map<std::size_t, std::size_t> moments;  // by sector
  const auto moment_of = [&](std::size_t sector) {
    const auto found = moments.find(sector);
    return found == moments.end() ? moments[sector] = choice.moment(changes) : found->second;
  };
  // Where the file grew and nothing was written yet: zeros or whatever the blocks held before.
  const char fill = choice.below(2) == 0 ? '\0' : choice.garbage();

  std::string image = file.durable;
  std::size_t size = image.size();        // as the process sees it
  std::size_t final_size = image.size();  // at size_moment
  for (std::size_t i = 0; i < changes; ++i) {
    const Change& change = file.pending[i];
    const std::size_t begin = change.offset;
    const std::size_t end = change.truncates ? image.size() : begin + change.bytes.size();
    image.resize(std::max(image.size(), end), fill);
    for (std::size_t at = begin; at < end;) {
      const std::size_t sector = at / device_.sector_bytes;
      const std::size_t stop = std::min(end, (sector + 1) * device_.sector_bytes);
      if (i < moment_of(sector)) {
        if (change.truncates) {
          image.replace(at, stop - at, stop - at, '\0');
        } else {
          image.replace(at, stop - at, change.bytes, at - begin, stop - at);
        }
      }
      at = stop;
    }
    size = change.truncates ? begin : std::max(size, end);
    if (i < size_moment) {
      final_size = size;
    }
  }
  image.resize(final_size, fill);
  if (changes > 0 && choice.tears()) {
    tear_sector(file, choice, image);
  }
  return image;
}

void Disk::tear_sector(const File& file, Choice& choice, std::string& image) const {
  const Change& change = file.pending[choice.below(file.pending.size())];
  if (change.truncates || change.bytes.empty()) {
    return;
  }
  const std::size_t at = change.offset + choice.below(change.bytes.size());
  const std::size_t sector = at / device_.sector_bytes * device_.sector_bytes;
  std::size_t begin = sector;
  std::size_t end = sector + device_.sector_bytes;
  if (device_.powersafe_overwrite) {
    begin = at;
    end = std::min<std::size_t>(end, change.offset + change.bytes.size());
  }
  for (std::size_t i = begin; i < std::min(end, image.size()); ++i) {
    image[i] = choice.garbage();
  }
}

void replace_files(const std::string& folder, const std::map<std::string, std::string>& files) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::filesystem::remove(entry.path());
  }
  for (const auto& [name, content] : files) {
    std::ofstream(folder + "/" + name, std::ios::binary) << content;
  }
}

}  // namespace headgate::sink::sqlite::test
