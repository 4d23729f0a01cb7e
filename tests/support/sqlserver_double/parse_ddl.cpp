#include <cstdlib>

#include "support/sqlserver_double/parser.hpp"
#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

void Parser::create_statement(Statement& result) {
  const bool unique = take_word("unique");
  while (take_word("clustered") || take_word("nonclustered")) {
  }
  if (unique || is_word("index")) {
    expect_word("index");
    result.body = create_index(unique);
    return;
  }
  if (take_word("table")) {
    result.body = create_table();
    return;
  }
  if (take_word("sequence")) {
    result.body = create_sequence();
    return;
  }
  CreateStatement create;
  create.what = any_word();
  create.name = identifier();
  if (create.what == "schema") {
    if (take_word("authorization")) {
      identifier();
    }
  } else if (create.what == "login") {
    expect_word("with");
    expect_word("password");
    expect_symbol("=");
    create.option = take().text;
    while (take_symbol(",")) {
      any_word();
      expect_symbol("=");
      take();
    }
  } else if (create.what == "user") {
    if (take_words({"for", "login"}) || take_words({"from", "login"})) {
      create.option = identifier();
    } else if (take_words({"without", "login"})) {
      create.option.clear();
    }
  } else if (create.what == "database") {
    if (take_word("collate")) {
      identifier();
    }
  } else if (create.what != "role") {
    at_ -= 2;
    fail();
  }
  result.body = std::move(create);
}

CreateTableStatement Parser::create_table() {
  CreateTableStatement create;
  create.table = qualified_name();
  expect_symbol("(");
  do {
    if (is_symbol(")")) {
      break;
    }
    if (at_constraint()) {
      create.constraints.push_back(constraint_def());
    } else {
      create.columns.push_back(column_def());
    }
  } while (take_symbol(","));
  expect_symbol(")");
  index_options();
  return create;
}

CreateIndexStatement Parser::create_index(bool unique) {
  CreateIndexStatement create;
  create.unique = unique;
  create.name = identifier();
  expect_word("on");
  create.table = qualified_name();
  create.columns = column_list();
  if (take_word("include")) {
    column_list();
  }
  if (take_word("where")) {
    expression();
  }
  index_options();
  return create;
}

CreateSequenceStatement Parser::create_sequence() {
  CreateSequenceStatement create;
  create.name = qualified_name();
  const auto whole_number = [this] {
    const bool negative = take_symbol("-");
    const std::int64_t number = std::atoll(take().text.c_str());
    return negative ? -number : number;
  };
  while (true) {
    if (take_word("as")) {
      create.type = data_type();
    } else if (take_words({"start", "with"})) {
      create.start = whole_number();
    } else if (take_words({"increment", "by"})) {
      create.step = whole_number();
    } else if (!take_words({"no", "cache"}) && !take_words({"no", "cycle"})) {
      return create;
    }
  }
}

AlterTableStatement Parser::alter_table() {
  AlterTableStatement alter;
  alter.table = qualified_name();
  if (take_words({"with", "check"}) || take_words({"with", "nocheck"})) {
  }
  if (take_word("add")) {
    do {
      if (at_constraint()) {
        alter.add_constraints.push_back(constraint_def());
      } else {
        alter.add_columns.push_back(column_def());
      }
    } while (take_symbol(","));
  } else if (take_word("drop")) {
    do {
      const bool column = take_word("column");
      const bool constraint = !column && take_word("constraint");
      const bool if_exists = take_words({"if", "exists"});
      auto& names = column || (!constraint && !alter.drop_columns.empty()) ? alter.drop_columns
                                                                           : alter.drop_constraints;
      static_cast<void>(if_exists);
      names.push_back(identifier());
    } while (take_symbol(","));
  } else if (take_words({"alter", "column"})) {
    alter.alter_column = column_def();
  } else {
    fail();
  }
  return alter;
}

AlterDatabaseStatement Parser::alter_database() {
  AlterDatabaseStatement alter;
  alter.database = take_word("current") ? "" : identifier();
  expect_word("set");
  alter.option = any_word();
  if (alter.option != "single_user" && alter.option != "multi_user") {
    alter.value = any_word();
  }
  if (take_word("with")) {
    while (peek().kind == TokenKind::kWord && !begins_statement()) {
      take();
    }
    take_word("rollback");
    take_word("immediate");
  }
  return alter;
}

void Parser::drop_statement(Statement& result) {
  DropStatement drop;
  drop.what = any_word();
  if (drop.what != "table" && drop.what != "index" && drop.what != "schema" &&
      drop.what != "sequence" && drop.what != "database" && drop.what != "login" &&
      drop.what != "user") {
    --at_;
    fail();
  }
  drop.if_exists = take_words({"if", "exists"});
  do {
    drop.names.push_back(qualified_name());
  } while (take_symbol(","));
  if (take_word("on")) {
    drop.on = qualified_name();
  }
  result.body = std::move(drop);
}

GrantStatement Parser::grant_statement(bool grant) {
  GrantStatement result;
  result.grant = grant;
  do {
    std::string permission;
    while (peek().kind == TokenKind::kWord && !is_word("on") && !is_word("to") &&
           !is_word("from")) {
      permission += (permission.empty() ? "" : " ") + any_word();
    }
    result.permissions.push_back(permission);
  } while (take_symbol(","));
  if (take_word("on")) {
    result.scope = "object";
    if (is_symbol("::", 1)) {
      result.scope = any_word();
      take_symbol("::");
    }
    result.on = qualified_name();
  }
  if (!take_word("to")) {
    expect_word("from");
  }
  do {
    result.to.push_back(identifier());
  } while (take_symbol(","));
  return result;
}

ColumnDef Parser::column_def() {
  ColumnDef column;
  column.name = identifier();
  if (take_word("as")) {
    column.computed = primary();
    column.persisted = take_word("persisted");
    return column;
  }
  column.type = data_type();
  while (true) {
    if (take_words({"not", "null"})) {
      column.nullable = false;
    } else if (take_word("null") || take_word("sparse") || take_word("rowguidcol") ||
               take_word("clustered") || take_word("nonclustered")) {
    } else if (take_word("identity")) {
      column.identity = true;
      column.nullable = false;
      if (take_symbol("(")) {
        column.identity_seed = std::atoll(take().text.c_str());
        expect_symbol(",");
        column.identity_step = std::atoll(take().text.c_str());
        expect_symbol(")");
      }
    } else if (take_words({"primary", "key"})) {
      column.primary_key = true;
      column.nullable = false;
    } else if (take_word("unique")) {
      column.unique = true;
    } else if (take_word("constraint")) {
      identifier();
    } else if (take_word("default")) {
      column.default_value = unary();
    } else if (take_word("collate")) {
      set_collation(column.type, identifier());
    } else if (take_word("check")) {
      expect_symbol("(");
      column.check = expression();
      expect_symbol(")");
    } else if (is_word("foreign") || is_word("references")) {
      take_words({"foreign", "key"});
      references_clause(column.references, column.referenced_columns, column.cascade);
    } else {
      return column;
    }
  }
}

bool Parser::at_constraint() const {
  return is_word("constraint") || (is_word("primary") && is_word("key", 1)) ||
         (is_word("unique") &&
          (is_symbol("(", 1) || is_word("clustered", 1) || is_word("nonclustered", 1))) ||
         (is_word("foreign") && is_word("key", 1)) || (is_word("check") && is_symbol("(", 1)) ||
         is_word("default");
}

ConstraintDef Parser::constraint_def() {
  ConstraintDef constraint;
  if (take_word("constraint")) {
    constraint.name = identifier();
  }
  const auto clustering = [this] {
    while (take_word("clustered") || take_word("nonclustered")) {
    }
  };
  if (take_words({"primary", "key"})) {
    constraint.kind = ConstraintDef::Kind::kPrimaryKey;
    clustering();
    constraint.columns = column_list();
  } else if (take_word("unique")) {
    constraint.kind = ConstraintDef::Kind::kUnique;
    clustering();
    constraint.columns = column_list();
  } else if (take_words({"foreign", "key"})) {
    constraint.kind = ConstraintDef::Kind::kForeignKey;
    constraint.columns = column_list();
    references_clause(constraint.references, constraint.referenced_columns, constraint.cascade);
  } else if (take_word("check")) {
    constraint.kind = ConstraintDef::Kind::kCheck;
    expect_symbol("(");
    constraint.expr = expression();
    expect_symbol(")");
  } else {
    expect_word("default");
    constraint.kind = ConstraintDef::Kind::kDefault;
    constraint.expr = unary();
    expect_word("for");
    constraint.columns = {identifier()};
  }
  index_options();
  return constraint;
}

void Parser::references_clause(Name& table, std::vector<std::string>& columns, bool& cascade) {
  expect_word("references");
  table = qualified_name();
  if (is_symbol("(")) {
    columns = column_list();
  }
  while (take_word("on")) {
    const bool on_delete = any_word() == "delete";
    if (take_word("cascade")) {
      cascade = cascade || on_delete;
    } else if (!take_words({"no", "action"})) {
      fail();
    }
  }
}

// WITH (…) and ON filegroup behind an index or table.
void Parser::index_options() {
  if (is_word("with") && is_symbol("(", 1)) {
    take();
    FromItem ignored;
    table_hints(ignored);
  }
  if (is_word("on") && (peek(1).kind == TokenKind::kQuoted || is_word("primary", 1))) {
    take();
    take();
  }
}

}  // namespace headgate::test::sqlserver
