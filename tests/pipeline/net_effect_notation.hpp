// Operations and stages as one line of text, for tables of cases.

#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.hpp"
#include "pipeline/net_effect.hpp"

namespace headgate::pipeline_test {

// `+1|x|y` insert, `-1` delete, `=1|x|~` update, `1>2|x|~` update to another key, `T` truncate.
// `~` is an unchanged column, `-` NULL. A table's name in front (`log +1|x|y`) chooses the table;
// `t` otherwise. Tables have three columns; the key is the first, but `log` has none.
class Notation {
 public:
  std::vector<Sink> parse(const std::vector<std::string>& operations) {
    std::vector<Sink> parsed;
    for (const std::string& text : operations) {
      const std::size_t blank = text.find(' ');
      const bool named = blank != std::string::npos;
      parsed.push_back(
          parse_one(named ? text.substr(0, blank) : "t", named ? text.substr(blank + 1) : text));
    }
    return parsed;
  }

  // Stages separated by " / ", each its tables with something to do and then its singles.
  static std::string print(const std::vector<WorkStage>& stages) {
    std::string text;
    for (const WorkStage& stage : stages) {
      text += text.empty() ? "" : " / ";
      std::string parts;
      for (const TableWork& work : stage.tables) {
        const std::string list = print(work);
        parts += parts.empty() || list.empty() ? "" : "; ";
        parts += list;
      }
      for (const Sink& single : stage.singles) {
        parts += parts.empty() ? "" : "; ";
        parts += print(single);
      }
      text += parts.empty() ? "nothing" : parts;
    }
    return text;
  }

 private:
  static constexpr std::size_t kColumns = 3;

  Sink parse_one(const std::string& table, const std::string& text) {
    Sink sink;
    sink.config = config(table);
    if (text == "T") {
      sink.operation = Operation::kTruncate;
    } else if (text[0] == '+') {
      sink.operation = Operation::kInsert;
      sink.data = row(text.substr(1));
    } else if (text[0] == '-') {
      sink.operation = Operation::kDelete;
      sink.data = row(text.substr(1));
      sink.key_only = true;
    } else if (text[0] == '=') {
      sink.operation = Operation::kUpdateAfter;
      sink.data = row(text.substr(1));
    } else {
      const std::size_t arrow = text.find('>');
      sink.operation = Operation::kUpdateAfter;
      sink.before = row(text.substr(0, arrow));
      sink.data = row(text.substr(arrow + 1));
      sink.key_only = true;
    }
    return sink;
  }

  // Columns that are not written are NULL, as the padding of a key.
  Row row(std::string_view text) {
    const auto values = arena_.array<Value>(kColumns);
    for (Value& value : values) {
      if (text.empty()) {
        break;
      }
      const std::string_view field = text.substr(0, text.find('|'));
      text.remove_prefix(std::min(text.size(), field.size() + 1));
      value = field == "~"   ? Value::unchanged()
              : field == "-" ? Value::null()
                             : Value::text(arena_.copy(field));
    }
    return values;
  }

  const SinkConfig* config(const std::string& table) {
    auto& made = configs_[table];
    if (!made) {
      made = std::make_unique<SinkConfig>();
      made->name = table;
      made->output.name = {"", table};
      made->output.columns.resize(kColumns);
      if (table != "log") {
        made->output.key = {0};
      }
    }
    return made.get();
  }

  static std::string print(const TableWork& work) {
    std::string text;
    if (work.truncate) {
      text += " truncate";
    }
    const auto list = [&](const char* name, const std::vector<Row>& rows, bool key_only) {
      for (const Row row : rows) {
        text += std::string(" ") + name + " " + print(row, key_only);
      }
    };
    list("delete", work.deletes, true);
    list("upsert", work.upserts, false);
    list("update", work.updates, false);
    list("append", work.appends, false);
    return text.empty() ? text : work.table->name + ":" + text;
  }

  static std::string print(const Sink& single) {
    return single.config->name + ": single " + std::string(to_string(single.operation)) + " " +
           (single.before.empty() ? "" : print(single.before, true) + ">") +
           print(single.data, false);
  }

  static std::string print(Row row, bool key_only) {
    std::string text;
    for (const Value& value : key_only ? row.first(1) : row) {
      text += text.empty() ? "" : "|";
      text += value.is_null() ? "-" : value.is_unchanged() ? "~" : std::string(value.bytes());
    }
    return text;
  }

  Arena arena_;
  std::map<std::string, std::unique_ptr<SinkConfig>> configs_;
};

}  // namespace headgate::pipeline_test
