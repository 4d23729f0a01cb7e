#include "pipeline/table_record.hpp"

#include <boost/json.hpp>

#include "base/error.hpp"

namespace headgate {
namespace {

namespace json = boost::json;

// In the order of TypeFamily; what is stored must not depend on the enumerators' numbers.
constexpr std::string_view kFamilies[] = {"boolean", "integer", "float", "numeric",   "text",
                                          "bytes",   "date",    "time",  "timestamp", "timestamptz",
                                          "uuid",    "json",    "other"};

std::string_view name_of(TypeFamily family) {
  return kFamilies[static_cast<std::size_t>(family)];
}

TypeFamily family_named(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kFamilies); ++i) {
    if (kFamilies[i] == name) {
      return static_cast<TypeFamily>(i);
    }
  }
  return TypeFamily::kOther;  // of a later version of ours: only compared, and then it differs
}

json::object to_object(const TableName& name) {
  return {{"schema", name.schema}, {"table", name.table}};
}

TableName to_name(const json::value& value) {
  const json::object& object = value.as_object();
  return {std::string(object.at("schema").as_string()),
          std::string(object.at("table").as_string())};
}

json::object to_object(const Column& column) {
  return {
      {"name", column.name},        {"id", column.source_id}, {"family", name_of(column.family)},
      {"type", column.native_type}, {"oid", column.type_oid}, {"nullable", column.nullable},
      {"identity", column.identity}};
}

Column to_column(const json::value& value) {
  const json::object& object = value.as_object();
  Column column;
  column.name = object.at("name").as_string();
  column.source_id = object.at("id").to_number<std::uint32_t>();
  column.family = family_named(object.at("family").as_string());
  column.native_type = object.at("type").as_string();
  column.type_oid = object.at("oid").to_number<std::uint32_t>();
  column.nullable = object.at("nullable").as_bool();
  column.identity = object.at("identity").as_bool();
  return column;
}

json::array to_array(const std::vector<std::string>& texts) {
  return json::array(texts.begin(), texts.end());
}

std::vector<std::string> to_texts(const json::value& value) {
  std::vector<std::string> texts;
  for (const json::value& text : value.as_array()) {
    texts.emplace_back(text.as_string());
  }
  return texts;
}

json::object to_object(const CopyProgress& copy) {
  json::array moved;
  for (const auto& key : copy.moved) {
    moved.push_back(to_array(key));
  }
  return {{"chunks", copy.chunks}, {"cursor", to_array(copy.cursor)}, {"run", copy.run},
          {"rows", copy.rows},     {"complete", copy.complete},       {"again", copy.again},
          {"mixed", copy.mixed},   {"moved", std::move(moved)}};
}

CopyProgress to_copy(const json::value& value) {
  const json::object& object = value.as_object();
  CopyProgress copy;
  copy.chunks = object.at("chunks").to_number<std::uint64_t>();
  copy.cursor = to_texts(object.at("cursor"));
  copy.run = object.at("run").as_string();
  for (const json::value& key : object.at("moved").as_array()) {
    copy.moved.push_back(to_texts(key));
  }
  copy.rows = object.at("rows").to_number<std::uint64_t>();
  copy.complete = object.at("complete").as_bool();
  copy.again = object.at("again").as_bool();
  copy.mixed = object.at("mixed").as_bool();
  return copy;
}

json::object to_object(const TablePause& pause) {
  return {{"reason", pause.reason},
          {"remedy", pause.remedy},
          {"since", pause.since},
          {"refused", pause.refused}};
}

TablePause to_pause(const json::value& value) {
  const json::object& object = value.as_object();
  return {std::string(object.at("reason").as_string()),
          std::string(object.at("remedy").as_string()), std::string(object.at("since").as_string()),
          std::string(object.at("refused").as_string())};
}

}  // namespace

TableRecord record_of(const SinkConfig& config) {
  TableRecord record{config.output, config.output.name};
  record.source.name = config.source;
  for (Column& column : record.source.columns) {
    column.fill = {};
  }
  return record;
}

std::string record_id(const TableSchema& source) {
  return source.source_id != 0 ? "id:" + std::to_string(source.source_id)
                               : "name:" + source.name.to_string();
}

std::string to_json(const TableRecord& record) {
  json::array columns;
  for (const Column& column : record.source.columns) {
    columns.push_back(to_object(column));
  }
  json::array key;
  for (const std::size_t column : record.source.key) {
    key.push_back(column);
  }
  json::object object{{"version", 1},
                      {"source", to_object(record.source.name)},
                      {"source_id", record.source.source_id},
                      {"note", record.source.source_note},
                      {"target", to_object(record.target)},
                      {"columns", std::move(columns)},
                      {"key", std::move(key)}};
  if (record.copy) {
    object.emplace("copy", to_object(*record.copy));
  }
  if (!record.consistent_from.empty()) {
    object.emplace("consistent_from", record.consistent_from);
  }
  if (record.paused) {
    object.emplace("paused", to_object(*record.paused));
  }
  return json::serialize(object);
}

TableRecord parse_record(std::string_view text) {
  try {
    const json::value value = json::parse(json::string_view(text.data(), text.size()));
    const json::object& object = value.as_object();
    TableRecord record;
    record.source.name = to_name(object.at("source"));
    record.source.source_id = object.at("source_id").to_number<std::uint32_t>();
    if (const json::value* note = object.if_contains("note")) {
      record.source.source_note = note->as_string();
    }
    record.target = to_name(object.at("target"));
    if (const json::value* copy = object.if_contains("copy")) {
      record.copy = to_copy(*copy);
    }
    if (const json::value* position = object.if_contains("consistent_from")) {
      record.consistent_from = position->as_string();
    }
    if (const json::value* pause = object.if_contains("paused")) {
      record.paused = to_pause(*pause);
    }
    for (const json::value& column : object.at("columns").as_array()) {
      record.source.columns.push_back(to_column(column));
    }
    for (const json::value& column : object.at("key").as_array()) {
      const auto place = column.to_number<std::size_t>();
      if (place >= record.source.columns.size()) {
        throw std::out_of_range("key");
      }
      record.source.key.push_back(place);
    }
    return record;
  } catch (const std::exception&) {
    throw Error{ErrorKind::kOperator, "a row of headgate_tables is not what headgate wrote there",
                "restore the table; without it, nobody knows what the sink's tables held"};
  }
}

}  // namespace headgate
