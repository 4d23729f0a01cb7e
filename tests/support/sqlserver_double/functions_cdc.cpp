#include "support/sqlserver_double/binder.hpp"
#include "support/sqlserver_double/cdc.hpp"
#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/query.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

using Values = std::vector<Value>;

SqlType lsn_type() {
  return binary_type(10, true);
}
SqlType bit() {
  return type_of(TypeKind::kBit);
}

Lsn lsn_argument(const Value& value) {
  Lsn lsn = bytes_of(value);
  lsn.resize(10, '\0');
  return lsn;
}

// All of them read cdc.lsn_time_mapping, which is not there while CDC is off.
Database& captured_database(const SessionState& session) {
  Database& database = session.current_database();
  if (!database.cdc_enabled) {
    throw invalid_object("cdc.lsn_time_mapping");
  }
  return database;
}

Value min_lsn(const SessionState& session, const Value& name) {
  Database& database = captured_database(session);
  const CaptureInstance* instance = is_null(name) ? nullptr : database.instance(utf8_of(name));
  if (instance == nullptr || !may_read_instance(session, database, *instance)) {
    return zero_lsn();
  }
  return instance->established ? Value(instance->start_lsn) : Value(Null{});
}

// The rows of lsn_time_mapping that are committed, in order.
std::vector<RowPtr> mapping_rows(const Context& context) {
  const Database& database = captured_database(context.session);
  const ReadView view{context.session.engine.last_commit(), 0, false, false};
  std::vector<RowPtr> rows;
  for (std::size_t slot = 0; slot < database.lsn_time_mapping->slots(); ++slot) {
    if (database.lsn_time_mapping->visible(slot, view)) {
      rows.push_back(database.lsn_time_mapping->version(slot).row);
    }
  }
  return rows;
}

Value time_of_lsn(const Context& context, const Lsn& lsn) {
  for (const RowPtr& row : mapping_rows(context)) {
    if (bytes_of((*row)[0]) == lsn) {
      return (*row)[2];
    }
  }
  return Null{};
}

Value lsn_of_time(const Context& context, const std::string& relation, const Moment& time) {
  Value found = Null{};
  const bool largest = relation.starts_with("largest");
  const bool equal = relation.ends_with("or equal");
  if (relation != "largest less than" && relation != "largest less than or equal" &&
      relation != "smallest greater than" && relation != "smallest greater than or equal") {
    return Null{};
  }
  for (const RowPtr& row : mapping_rows(context)) {
    const Moment& at = std::get<Moment>((*row)[2]);
    const bool matches = (equal && at == time) || (largest ? at < time : time < at);
    if (matches && (largest || is_null(found))) {
      found = (*row)[0];
    }
  }
  return found;
}

FunctionTable make_functions() {
  FunctionTable table;
  table["fn_cdc_get_max_lsn"] = [](Context& context, std::vector<Bound>) {
    const auto lsn = max_lsn(context.engine(), captured_database(context.session));
    return constant(lsn_type(), lsn ? Value(*lsn) : Value(Null{}));
  };
  table["fn_cdc_get_min_lsn"] = [](Context& context, std::vector<Bound> args) {
    captured_database(context.session);
    Bound bound;
    bound.type = lsn_type();
    merge_marks(bound, args[0]);
    bound.eval = [session = &context.session, name = converted(args[0], text_type(128, true)).eval](
                     const Frame& frame) { return min_lsn(*session, name(frame)); };
    return bound;
  };
  table["fn_cdc_increment_lsn"] = [](Context&, std::vector<Bound> args) {
    return strict_function(lsn_type(), args, [](const Values& values) -> Value {
      return next_lsn(lsn_argument(values[0]));
    });
  };
  table["fn_cdc_decrement_lsn"] = [](Context&, std::vector<Bound> args) {
    return strict_function(lsn_type(), args, [](const Values& values) -> Value {
      return previous_lsn(lsn_argument(values[0]));
    });
  };
  table["fn_cdc_map_lsn_to_time"] = [](Context& context, std::vector<Bound> args) {
    captured_database(context.session);
    return strict_function(type_of(TypeKind::kDateTime), args, [context](const Values& values) {
      return time_of_lsn(context, lsn_argument(values[0]));
    });
  };
  table["fn_cdc_map_time_to_lsn"] = [](Context& context, std::vector<Bound> args) {
    captured_database(context.session);
    args[1] = converted(std::move(args[1]), type_of(TypeKind::kDateTime));
    return strict_function(lsn_type(), args, [context](const Values& values) {
      return lsn_of_time(context, lower(utf8_of(values[0])), std::get<Moment>(values[1]));
    });
  };
  table["fn_cdc_is_bit_set"] = [](Context&, std::vector<Bound> args) {
    return strict_function(bit(), args, [](const Values& values) {
      return truth(mask_bit(bytes_of(values[1]), static_cast<int>(integer_of(values[0]))));
    });
  };
  table["fn_cdc_get_column_ordinal"] = [](Context& context, std::vector<Bound> args) {
    return strict_function(type_of(TypeKind::kInt), args, [context](const Values& values) -> Value {
      const CaptureInstance* instance =
          captured_database(context.session).instance(utf8_of(values[0]));
      const CapturedColumn* column =
          instance == nullptr ? nullptr : instance->column(utf8_of(values[1]));
      return column == nullptr ? Value(Null{}) : Value(std::int64_t{column->ordinal});
    });
  };
  table["fn_cdc_has_column_changed"] = [](Context& context, std::vector<Bound> args) {
    return strict_function(bit(), args, [context](const Values& values) -> Value {
      const CaptureInstance* instance =
          captured_database(context.session).instance(utf8_of(values[0]));
      const CapturedColumn* column =
          instance == nullptr ? nullptr : instance->column(utf8_of(values[1]));
      return column == nullptr ? Value(Null{})
                               : truth(mask_bit(bytes_of(values[2]), column->ordinal));
    });
  };
  table["fn_varbintohexstr"] = [](Context&, std::vector<Bound> args) {
    return strict_function(text_type(4000, true), args, [](const Values& values) -> Value {
      return lower(text_of(convert(values[0], binary_type(kMaxLength), text_type(4000, true), 1)));
    });
  };
  return table;
}

// cdc.fn_cdc_get_all_changes_<instance>: reads the change table WITH (NOLOCK), as the real one
// does.
TableFunction all_changes(Context& context, Database& database, const CaptureInstance& instance) {
  TableFunction function;
  std::vector<std::size_t> places;
  const auto& columns = instance.table->shape->columns;
  for (std::size_t at = 0; at < columns.size(); ++at) {
    if (columns[at].name != "__$end_lsn" && columns[at].name != "__$command_id") {
      places.push_back(at);
      function.columns.push_back({columns[at].name, columns[at].type, true});
    }
  }
  const bool may_read = may_read_instance(context.session, database, instance);
  function.run = [context, &database, table = instance.table, places, may_read,
                  start = instance.established ? instance.start_lsn
                                               : Lsn()](const std::vector<TypedValue>& args) {
    const SqlError bad_window(
        313,
        "An insufficient number of arguments were supplied for the procedure or "
        "function cdc.fn_cdc_get_all_changes_ ... .",
        16, 3);
    if (args.size() != 3) {
      throw SqlError(
          313,
          "An insufficient number of arguments were supplied for the procedure or function "
          "cdc." +
              table->name + ".",
          16, 3);
    }
    if (!may_read) {
      throw SqlError(
          229,
          "The SELECT permission was denied on the object 'fn_cdc_get_all_changes_ ...', "
          "database '" +
              database.name + "', schema 'cdc'.",
          14, 5);
    }
    const auto last = max_lsn(context.session.engine, database);
    std::string option = is_null(args[2].value) ? "" : lower(utf8_of(args[2].value));
    option.erase(0, option.find_first_not_of(' '));
    option.erase(option.find_last_not_of(' ') + 1);
    if (is_null(args[0].value) || is_null(args[1].value) || !last || start.empty() ||
        (option != "all" && option != "all update old")) {
      throw bad_window;
    }
    const Lsn from = lsn_argument(args[0].value);
    const Lsn to = lsn_argument(args[1].value);
    if (from < start || to > *last || from > to) {
      throw bad_window;
    }
    std::vector<RowPtr> rows;
    const ReadView view{context.session.engine.last_commit(), 0, true, false};
    for (const std::size_t slot : table->candidates(ColumnRange{0, Value(from), Value(to)})) {
      const Row& row = *table->version(slot).row;
      if (!table->visible(slot, view) || (integer_of(row[3]) == 3 && option == "all")) {
        continue;
      }
      auto result = std::make_shared<Row>();
      for (const std::size_t place : places) {
        result->push_back(row[place]);
      }
      rows.push_back(std::move(result));
    }
    return rows;
  };
  return function;
}

TableFunction generate_series() {
  TableFunction function;
  function.columns = {{"value", type_of(TypeKind::kBigInt), false}};
  function.run = [](const std::vector<TypedValue>& args) {
    const SqlType number = type_of(TypeKind::kBigInt);
    const std::int64_t first = integer_of(convert(args.at(0).value, args[0].type, number));
    const std::int64_t last = integer_of(convert(args.at(1).value, args[1].type, number));
    std::vector<RowPtr> rows;
    for (std::int64_t at = first; at <= last; ++at) {
      rows.push_back(std::make_shared<const Row>(Row{at}));
    }
    return rows;
  };
  return function;
}

}  // namespace

const FunctionTable& cdc_functions() {
  static const FunctionTable table = make_functions();
  return table;
}

std::optional<TableFunction> table_function(Context& context, const Name& name) {
  if (name.size() == 1 && same_name(name[0], "generate_series")) {
    return generate_series();
  }
  const std::string prefix = "fn_cdc_get_all_changes_";
  if (name.size() == 2 && same_name(name[0], "cdc") && lower(name[1]).starts_with(prefix)) {
    Database& database = context.session.current_database();
    const CaptureInstance* instance = database.instance(name[1].substr(prefix.size()));
    if (instance != nullptr) {
      return all_changes(context, database, *instance);
    }
  }
  return std::nullopt;
}

}  // namespace headgate::test::sqlserver
