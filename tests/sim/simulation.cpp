#include "simulation.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "sim_daemon.hpp"

namespace headgate::sim {
namespace {

using std::chrono::milliseconds;

// Far more than any run needs that comes to its end.
constexpr std::size_t kStepsMax = 200'000;

class Simulation {
 public:
  Simulation(const Plan& plan, bool traced);
  Outcome run();

 private:
  // Something that can happen next, and from when on.
  struct Candidate {
    enum class Kind { kCommit, kEvent, kStart, kThread } kind;
    TimePoint ready_at;
    SimDaemon* daemon = nullptr;
    std::size_t thread = 0;
  };

  bool done() const;
  std::vector<Candidate> candidates() const;
  void happen(const Candidate& candidate);
  void commit();
  void event();
  void start_daemon();
  void take_over();
  void restore_a_sink();
  void allow_for_a_sink_set_back();
  void ask_for_copies();
  void look_after_paused_tables();
  void promote();
  void may_lose_position();
  SinkDatabase& any_sink();
  SimDaemon* any_daemon();
  void calm_down();
  void bury_daemons();
  TimePoint in(std::size_t most_milliseconds) {
    return world_.clock.now() + milliseconds(world_.random.below(most_milliseconds + 1));
  }
  std::string standing() const;

  const Plan& plan_;
  World world_;
  SourceDatabase source_;
  std::vector<std::unique_ptr<SinkDatabase>> sinks_;
  std::vector<std::unique_ptr<SimDaemon>> daemons_;
  std::size_t daemons_started_ = 0;
  std::size_t sinks_configured_;
  std::size_t commits_left_;
  std::size_t events_left_;
  bool calm_ = false;
  bool gap_is_possible_ = false;
  bool lost_position_ = false;
  TimePoint next_commit_{};
  TimePoint next_event_{};
  TimePoint next_start_{};
};

Simulation::Simulation(const Plan& plan, bool traced)
    : plan_(plan),
      world_(plan.seed, traced),
      source_(world_, plan.workload),
      commits_left_(plan.commits),
      events_left_(plan.events) {
  if (plan.kill_at_durable_operation) {
    world_.kill_at_durable_operation(*plan.kill_at_durable_operation);
  }
  world_.rates = plan.rates;
  for (std::size_t i = 0; i < plan.sinks.size(); ++i) {
    sinks_.push_back(std::make_unique<SinkDatabase>(
        world_, source_, std::string("sink ") + static_cast<char>('a' + i), plan.sinks[i]));
    sinks_.back()->hinder_alterations(plan.hindered_per_mille);
  }
  sinks_configured_ = sinks_.size() - (plan.late_sink && sinks_.size() > 1 ? 1U : 0U);
  for (std::size_t i = 0; i < plan.commits_before; ++i) {
    source_.commit();
  }
}

// Everything arrived, is durable, and the source knows.
bool Simulation::done() const {
  if (lost_position_) {
    return true;  // a sink was restored to before what the source has: only a person can go on
  }
  return calm_ && source_.confirmed() == source_.end() && sinks_configured_ == sinks_.size() &&
         std::all_of(sinks_.begin(), sinks_.end(), [&](const auto& sink) {
           return sink->durable_position() == source_.position(source_.end()) &&
                  sink->copies_are_over() && sink->paused_tables().empty();
         });
}

std::vector<Simulation::Candidate> Simulation::candidates() const {
  std::vector<Candidate> found;
  if (commits_left_ > 0) {
    found.push_back({Candidate::Kind::kCommit, next_commit_});
  }
  if (events_left_ > 0) {
    found.push_back({Candidate::Kind::kEvent, next_event_});
  }
  if (daemons_.empty()) {
    found.push_back({Candidate::Kind::kStart, next_start_});
  }
  for (const auto& daemon : daemons_) {
    for (std::size_t thread = 0; thread < daemon->threads(); ++thread) {
      if (daemon->ready_at(thread) != TimePoint::max()) {
        found.push_back({Candidate::Kind::kThread, daemon->ready_at(thread), daemon.get(), thread});
      }
    }
  }
  return found;
}

Outcome Simulation::run() {
  std::size_t steps = 0;
  while (!world_.violation() && !done()) {
    if (++steps > kStepsMax) {
      world_.violated("it never comes to its end: " + standing());
      break;
    }
    if (commits_left_ == 0 && events_left_ == 0 && world_.random.chance(5)) {
      calm_down();
      bury_daemons();
    }
    if (calm_ && plan_.hindered_per_mille > 0 && world_.random.chance(10)) {
      look_after_paused_tables();
    }
    std::vector<Candidate> all = candidates();
    const auto earliest = std::min_element(
        all.begin(), all.end(),
        [](const Candidate& a, const Candidate& b) { return a.ready_at < b.ready_at; });
    world_.clock.advance_to(earliest->ready_at);
    all.erase(
        std::remove_if(all.begin(), all.end(),
                       [&](const Candidate& each) { return each.ready_at > world_.clock.now(); }),
        all.end());
    happen(world_.random.pick(all));
    if (world_.random.chance(200)) {
      world_.clock.advance(milliseconds(1));
    }
    bury_daemons();
  }
  daemons_.clear();
  Outcome outcome;
  outcome.violation = world_.violation();
  outcome.trace = world_.trace_text();
  outcome.trace_lines = world_.trace_lines();
  outcome.durable_operations = world_.durable_operations();
  outcome.daemons = daemons_started_;
  return outcome;
}

void Simulation::bury_daemons() {
  for (auto& daemon : daemons_) {
    if (daemon->over()) {
      lost_position_ = lost_position_ || daemon->lost_position();
      daemon.reset();
      next_start_ = in(3000);
    }
  }
  daemons_.erase(std::remove(daemons_.begin(), daemons_.end(), nullptr), daemons_.end());
}

void Simulation::calm_down() {
  if (!calm_) {
    calm_ = true;
    world_.calm();
    // What happened to a sink is noticed with the next thing there is to write.
    source_.commit();
    for (const auto& daemon : daemons_) {
      daemon->wake();
      daemon->copies().resume();
    }
  }
  sinks_configured_ = sinks_.size();
  // A sink that was added needs a start to be noticed.
  for (const auto& daemon : daemons_) {
    if (daemon->threads() <= sinks_.size()) {
      daemon->stop();
    }
  }
}

void Simulation::happen(const Candidate& candidate) {
  switch (candidate.kind) {
    case Candidate::Kind::kCommit:
      commit();
      break;
    case Candidate::Kind::kEvent:
      event();
      break;
    case Candidate::Kind::kStart:
      start_daemon();
      break;
    case Candidate::Kind::kThread:
      candidate.daemon->step(candidate.thread);
      break;
  }
}

void Simulation::commit() {
  --commits_left_;
  if (world_.random.chance(100)) {
    source_.idle();
  } else {
    source_.commit();
  }
  for (const auto& daemon : daemons_) {
    daemon->wake();
  }
  // In bursts.
  next_commit_ = world_.random.chance(700) ? world_.clock.now() : in(1500);
}

SinkDatabase& Simulation::any_sink() {
  return *sinks_[world_.random.below(sinks_.size())];
}

SimDaemon* Simulation::any_daemon() {
  return daemons_.empty() ? nullptr : daemons_[world_.random.below(daemons_.size())].get();
}

void Simulation::start_daemon() {
  std::vector<SinkDatabase*> sinks;
  for (std::size_t i = 0; i < sinks_configured_; ++i) {
    sinks.push_back(sinks_[i].get());
  }
  daemons_.push_back(std::make_unique<SimDaemon>(world_, source_, std::move(sinks), plan_.session,
                                                 plan_.source,
                                                 fmt::format("daemon {}", ++daemons_started_)));
  if (gap_is_possible_) {
    daemons_.back()->may_stop_for(ErrorKind::kPositionLost);
  }
}

void Simulation::event() {
  --events_left_;
  next_event_ = in(2000);
  if (plan_.hindered_per_mille > 0 && world_.random.chance(400)) {
    look_after_paused_tables();
    return;
  }
  if (plan_.copy_requests && world_.random.chance(300)) {
    ask_for_copies();
    return;
  }
  if (plan_.lost_positions && world_.random.chance(100)) {
    any_sink().forget_position();
    allow_for_a_sink_set_back();
    return;
  }
  SimDaemon* daemon = any_daemon();
  switch (world_.random.below(12)) {
    case 0:
      any_sink().sync_some();
      break;
    case 1:
      any_sink().cut_power();
      break;
    case 2: {
      SinkDatabase& sink = any_sink();
      world_.trace(sink.name(), "ends all sessions");
      sink.end_sessions();
      break;
    }
    case 3:
      source_.crash();
      break;
    case 4:
      source_.save_slot();
      break;
    case 5:
    case 6:
      if (daemon != nullptr) {
        daemon->kill();
      }
      break;
    case 7:
      if (daemon != nullptr) {
        daemon->stop();
      }
      break;
    case 8:
      sinks_configured_ = sinks_.size();
      break;
    case 9:
      if (plan_.takeovers) {
        take_over();
      }
      break;
    case 10:
      if (plan_.restores) {
        restore_a_sink();
      }
      break;
    case 11:
      if (plan_.promotions) {
        promote();
      }
      break;
  }
}

// The servers take the first daemon for dead, and a second one is started; but it lives on.
void Simulation::take_over() {
  // A process of an older configuration does not know all sinks, and would acknowledge what only it
  // has: a person must not leave it running, so it is not simulated.
  if (daemons_.empty() || daemons_.front()->threads() != sinks_configured_ + 1) {
    return;
  }
  world_.trace("servers", "take the running daemon for dead");
  for (const auto& sink : sinks_) {
    sink->forget_lock();
  }
  source_.reader = nullptr;
  start_daemon();
  for (const auto& daemon : daemons_) {
    daemon->may_stop_for(ErrorKind::kFenced);
  }
}

void Simulation::restore_a_sink() {
  any_sink().restore();
  allow_for_a_sink_set_back();
}

void Simulation::allow_for_a_sink_set_back() {
  may_lose_position();
  for (const auto& daemon : daemons_) {
    daemon->may_stop_for(ErrorKind::kFenced);
    daemon->forget_promises();
  }
}

void Simulation::ask_for_copies() {
  SimDaemon* daemon = any_daemon();
  if (daemon == nullptr) {
    return;
  }
  const auto told = [&](const char* what, const std::string& refusal) {
    world_.trace("operator", "{}: {}", what, refusal.empty() ? "done" : refusal);
  };
  switch (world_.random.below(6)) {
    case 0:
      told("pauses the copy", daemon->copies().pause());
      break;
    case 1:
      told("resumes the copy", daemon->copies().resume());
      break;
    case 2:
      told("cancels the copy", daemon->copies().cancel());
      break;
    default: {
      CopyRequest request;
      for (const TableSchemaPtr& schema : schemas()) {
        if (world_.random.chance(500)) {
          request.tables.push_back(schema->name);
        }
      }
      told("asks for a copy", daemon->copies().start(std::move(request)));
    }
  }
}

// A person may forget one sink or other, or be overtaken by the next alteration: then the copy is
// refused.
void Simulation::look_after_paused_tables() {
  CopyRequest request;
  for (const auto& sink : sinks_) {
    for (const std::size_t table : sink->paused_tables()) {
      if (calm_ || world_.random.chance(700)) {
        sink->mend(table);
      }
      request.tables.push_back(source_.now().schema(table)->name);
    }
  }
  SimDaemon* daemon = any_daemon();
  if (daemon != nullptr && !request.tables.empty()) {
    const std::string refusal = daemon->copies().start(std::move(request));
    world_.trace("operator", "asks for paused tables: {}", refusal.empty() ? "done" : refusal);
  }
}

void Simulation::promote() {
  source_.promote(plan_.lossy_promotions);
  if (plan_.lossy_promotions) {
    may_lose_position();
  }
}

void Simulation::may_lose_position() {
  gap_is_possible_ = true;
  for (const auto& daemon : daemons_) {
    daemon->may_stop_for(ErrorKind::kPositionLost);
  }
}

std::string Simulation::standing() const {
  std::string text = fmt::format("source ends at {:X}, slot at {:X}", source_.end(),
                                 source_.confirmed().value_or(0));
  for (const auto& sink : sinks_) {
    text += fmt::format("; {} at {}, durable {}", sink->name(), sink->position().to_string(),
                        sink->durable_position().to_string());
  }
  return text;
}

}  // namespace

Plan plan_for(std::uint64_t seed) {
  Random random(seed ^ 0x5EED0FDA1A5EEDU);
  Plan plan;
  plan.seed = seed;
  plan.commits_before = random.chance(700) ? random.below(15) : 0;
  plan.commits = random.between(1, random.chance(100) ? 120 : 40);
  plan.sinks.clear();
  for (std::size_t sinks = random.between(1, 3); sinks > 0; --sinks) {
    plan.sinks.push_back(random.chance(500));
  }
  plan.late_sink = random.chance(300);

  plan.workload.keys = random.between(2, 16);
  plan.workload.rows_max = random.between(1, 8);
  plan.workload.large_per_mille = random.chance(500) ? 100 : 0;

  plan.source.by_table = random.chance(400);
  plan.source.portion_rows = random.chance(500) ? random.between(1, 10) : 1000;
  plan.source.fetch_max = random.between(1, 12);
  plan.source.page_rows = random.between(1, 10);

  plan.session.queue_transactions_max = random.between(1, 20);
  plan.session.queue_bytes_max = random.between(1, 40) * 500;
  plan.session.apply.batch_transactions_max = random.between(1, 12);
  plan.session.apply.batch_bytes_max = random.between(1, 40) * 500;

  const unsigned wild = static_cast<unsigned>(random.below(4));  // 0: all is well
  plan.rates.connection_lost = wild * static_cast<unsigned>(random.below(25));
  plan.rates.refuses = random.chance(200) ? wild : 0;
  plan.rates.killed = random.chance(400) ? wild * static_cast<unsigned>(random.below(4)) : 0;
  plan.rates.slow = random.chance(300) ? 10 : 0;
  plan.events = wild * random.below(8);
  plan.takeovers = random.chance(250);
  plan.restores = random.chance(50);
  plan.promotions = random.chance(200);
  plan.lossy_promotions = random.chance(200);

  // Chance of its own: what came before it is the same for every seed as before it came.
  Random alterations(seed ^ 0xA17E4ED7AB1E5U);
  plan.workload.alter_per_mille =
      alterations.chance(400) ? static_cast<unsigned>(alterations.between(10, 250)) : 0;

  Random copies(seed ^ 0xC0B1E5C0B1E5U);
  plan.source.chunks = copies.chance(500);
  if (plan.source.chunks) {
    plan.source.copy.chunk_rows = copies.between(1, 8);
    plan.source.copy.round_max = milliseconds(copies.below(200));
    plan.source.copy.point_wait_max = milliseconds(copies.between(50, 3000));
    plan.source.copy.catch_up_max = plan.source.copy.round_max;
    plan.source.copy.bytes_per_second_max = copies.chance(200) ? 1000 * copies.between(1, 20) : 0;
    plan.rates.late_points = copies.chance(300) ? static_cast<unsigned>(copies.below(700)) : 0;
    plan.rates.locked = copies.chance(300) ? static_cast<unsigned>(copies.below(300)) : 0;
    plan.copy_requests = copies.chance(500);
    plan.source.points_at_the_end = copies.chance(300);
    plan.workload.drop_per_mille =
        copies.chance(200) ? static_cast<unsigned>(copies.between(1, 30)) : 0;
    if (plan.workload.alter_per_mille == 0 && copies.chance(100)) {
      // A table of an earlier copy stays as it was meanwhile, and is not altered.
      plan.lost_positions = true;
      plan.session.apply.existing_rows = ExistingRows::kReplace;
    }
  }

  Random hindrances(seed ^ 0xB10CEDA17E4ULL);
  if (plan.source.chunks && plan.workload.alter_per_mille > 0 && hindrances.chance(400)) {
    plan.hindered_per_mille = static_cast<unsigned>(hindrances.between(50, 600));
  }
  return plan;
}

Outcome simulate(const Plan& plan, bool traced) {
  return Simulation(plan, traced).run();
}

}  // namespace headgate::sim
