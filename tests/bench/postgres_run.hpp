// What the runs into a PostgreSQL sink share.

#pragma once

#include <memory>
#include <string>

#include "contender.hpp"
#include "demo/pg_session.hpp"

namespace headgate::bench {

// Whether somebody reads `slot`; asked through one session that stays.
class SlotWatch {
 public:
  SlotWatch(PreparedWorkload& prepared, std::string slot);
  bool active();

 private:
  demo::PgSession session_;
  std::string slot_;
  bool active_ = false;  // once seen, it is not asked again
};

// Owns a copy of the slot, and a copy of the sink as a database of the same name.
class PostgresRun : public Run {
 public:
  PostgresRun(PreparedWorkload& prepared, std::string name);
  ~PostgresRun() override;

  bool streaming() override { return slot_watch_.active(); }
  std::string look(const std::string& sql, std::uint64_t number) override;
  Fingerprints found() override;

 protected:
  PreparedWorkload& prepared() const { return prepared_; }
  // Of slot and database.
  const std::string& name() const { return name_; }
  std::string sink() const { return prepared_.stage().sink().conninfo(name_); }

  // Before the destructor when others use the database.
  void close_look() { reader_.reset(); }

 private:
  struct Copies {
    Copies(PreparedWorkload& owner, const std::string& copy);
  };

  PreparedWorkload& prepared_;
  std::string name_;
  Copies copies_;
  SlotWatch slot_watch_;
  std::unique_ptr<demo::PgSession> reader_;
  std::string looked_for_;  // what the reader has prepared
};

}  // namespace headgate::bench
