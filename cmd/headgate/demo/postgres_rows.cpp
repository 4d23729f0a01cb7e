// The PostgreSQL side of row_stream.hpp: a cursor in one transaction.

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"
#include "demo/row_stream.hpp"

namespace headgate::demo {

namespace {

constexpr int kFetchRows = 5000;

class PgRowStream final : public RowStream {
 public:
  PgRowStream(PgSession& session, const std::string& table, const ComparedTable& shape)
      : session_(session) {
    std::vector<std::string> values;
    std::vector<std::string> order;
    for (const ComparedColumn& column : shape.columns) {
      // Not `::text`, which trims a char(n).
      values.push_back(quote_identifier(column.name));
      if (order.size() < shape.ordered_columns()) {
        order.push_back(
            fmt::format("(CASE WHEN {0} IS DISTINCT FROM NULL THEN format('%s', {0}) END) COLLATE "
                        "\"C\" NULLS FIRST",
                        quote_identifier(column.name)));
      }
    }
    session_.execute("CLOSE ALL");
    session_.execute(
        fmt::format("DECLARE compared NO SCROLL CURSOR FOR SELECT {} FROM {} ORDER BY {}",
                    fmt::join(values, ", "), table, fmt::join(order, ", ")));
  }

  std::optional<TextRow> next() override {
    if (position_ == rows_.size()) {
      rows_ = session_.query(fmt::format("FETCH {} FROM compared", kFetchRows));
      position_ = 0;
      if (rows_.empty()) {
        return std::nullopt;
      }
    }
    return std::move(rows_[position_++]);
  }

 private:
  PgSession& session_;
  TextRows rows_;
  std::size_t position_ = 0;
};

class PgRowSource final : public RowSource {
 public:
  PgRowSource(PgSession& session, std::string schema)
      : session_(session), schema_(std::move(schema)) {
    session_.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  }
  ~PgRowSource() override {
    try {
      session_.execute("ROLLBACK");
    } catch (const PgError&) {
      // Without a session there is no transaction either.
    }
  }
  PgRowSource(const PgRowSource&) = delete;
  PgRowSource& operator=(const PgRowSource&) = delete;

  std::vector<std::string> columns_of(const ComparedTable& table) override {
    const TextRows rows = session_.query(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 "
        "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        {named(table)});
    std::vector<std::string> names;
    for (const TextRow& row : rows) {
      names.push_back(row.front().value_or(""));
    }
    return names;
  }

  std::unique_ptr<RowStream> open(const ComparedTable& table) override {
    return std::make_unique<PgRowStream>(session_, named(table), table);
  }

 private:
  std::string named(const ComparedTable& table) const {
    return quote_identifier(schema_.empty() ? table.schema : schema_) + "." +
           quote_identifier(table.name);
  }

  PgSession& session_;
  std::string schema_;
};

ComparedTable describe_table(PgSession& source, const std::string& qualified) {
  const auto dot = qualified.find('.');
  ComparedTable table{qualified.substr(0, dot), qualified.substr(dot + 1), {}, 0};
  const TextRows rows = source.query(
      "SELECT a.attname, coalesce(base.typname, t.typname), k.place IS NOT NULL "
      "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
      "LEFT JOIN pg_type base ON t.typtype = 'd' AND base.oid = t.typbasetype "
      "LEFT JOIN LATERAL (SELECT key.place FROM pg_index i, "
      "  unnest(i.indkey::int2[]) WITH ORDINALITY AS key(attnum, place) "
      "  WHERE i.indrelid = a.attrelid AND i.indisprimary AND key.attnum = a.attnum) k ON true "
      "WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped "
      "AND a.attgenerated = '' ORDER BY k.place NULLS LAST, a.attnum",
      {quote_identifier(table.schema) + "." + quote_identifier(table.name)});
  for (const TextRow& row : rows) {
    table.columns.push_back({row[0].value_or(""), row[1].value_or("")});
    table.key_columns += row[2] == "t" ? 1U : 0U;
  }
  if (table.columns.empty()) {
    throw Error{ErrorKind::kOperator,
                fmt::format("table {} does not exist at the source", qualified)};
  }
  return table;
}

}  // namespace

std::unique_ptr<RowSource> postgres_rows(PgSession& session, std::string schema) {
  return std::make_unique<PgRowSource>(session, std::move(schema));
}

std::vector<ComparedTable> describe_tables(PgSession& source,
                                           const std::vector<std::string>& names) {
  std::vector<ComparedTable> tables;
  for (const std::string& name : names) {
    tables.push_back(describe_table(source, name));
  }
  return tables;
}

}  // namespace headgate::demo
