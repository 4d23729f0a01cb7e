#include <algorithm>

#include "support/sqlserver_double/binder.hpp"
#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

using Values = std::vector<Value>;

SqlType int_type() {
  return type_of(TypeKind::kInt);
}

Bound as_text(Bound bound) {
  return bound.type.is_text() ? bound : converted(std::move(bound), text_type(4000, true));
}

std::size_t size_at(const Value& value) {
  return static_cast<std::size_t>(std::max<std::int64_t>(0, integer_of(value)));
}

// A function from one text to another of the same type.
FunctionBinder text_to_text(std::function<std::u16string(const std::u16string&)> body) {
  return [body](Context&, std::vector<Bound> args) {
    args[0] = as_text(std::move(args[0]));
    return strict_function(args[0].type, args, [body](const Values& values) -> Value {
      return body(text_of(values[0]));
    });
  };
}

std::u16string upper(const std::u16string& text) {
  std::u16string result = text;
  for (char16_t& c : result) {
    if ((c >= u'a' && c <= u'z') || (c >= 0xE0 && c <= 0xFE && c != 0xF7)) {
      c = static_cast<char16_t>(c - 32);
    }
  }
  return result;
}

std::u16string trim_left(const std::u16string& text) {
  const auto first = text.find_first_not_of(u' ');
  return first == std::u16string::npos ? std::u16string() : text.substr(first);
}

std::u16string trim_right(const std::u16string& text) {
  return text.substr(0, text.find_last_not_of(u' ') + 1);
}

std::int64_t data_length(const Value& value, const SqlType& type) {
  if (type.kind == TypeKind::kVariant) {
    const auto& inner = *std::get<7>(value);
    return data_length(inner.value, inner.type);
  }
  if (type.is_text()) {
    const auto& text = text_of(value);
    return static_cast<std::int64_t>(type.is_unicode() ? text.size() * 2
                                     : type.utf8       ? utf8_of_utf16(text).size()
                                                       : text.size());
  }
  return value.index() == 5 ? static_cast<std::int64_t>(bytes_of(value).size()) : type.max_length();
}

std::u16string replaced(const std::u16string& text, const std::u16string& what,
                        const std::u16string& by) {
  const std::u16string haystack = lower(text);
  const std::u16string needle = lower(what);
  std::u16string result;
  for (std::size_t at = 0; at < text.size();) {
    if (!needle.empty() && haystack.compare(at, needle.size(), needle) == 0) {
      result += by;
      at += needle.size();
    } else {
      result.push_back(text[at++]);
    }
  }
  return result;
}

// Of text by characters, of binary by bytes.
template <typename String>
Value cut(const String& string, std::int64_t start, std::int64_t length) {
  const std::int64_t end = start + length;  // 1-based
  const std::int64_t from = std::max<std::int64_t>(1, start);
  const auto size = static_cast<std::int64_t>(string.size());
  if (length < 0) {
    throw SqlError(537, "Invalid length parameter passed to the LEFT or SUBSTRING function.");
  }
  return from > size || end <= from ? String()
                                    : string.substr(static_cast<std::size_t>(from - 1),
                                                    static_cast<std::size_t>(end - from));
}

Bound concat(std::vector<Bound> args) {
  bool unicode = false;
  Bound bound;
  for (Bound& arg : args) {
    unicode = unicode || arg.type.is_unicode();
    merge_marks(bound, arg);
    arg = converted(std::move(arg), text_type(kMaxLength, true));
  }
  bound.type = text_type(kMaxLength, unicode);
  bound.nullable = false;
  bound.eval = [args](const Frame& frame) -> Value {
    std::u16string text;
    for (const Bound& arg : args) {
      const Value value = arg.eval(frame);
      text += is_null(value) ? std::u16string() : text_of(value);
    }
    return text;
  };
  return bound;
}

Bound substring(Context&, std::vector<Bound> args) {
  const bool bytes = args[0].type.is_bytes();
  args[0] = bytes ? std::move(args[0]) : as_text(std::move(args[0]));
  args[1] = converted(std::move(args[1]), type_of(TypeKind::kBigInt));
  args[2] = converted(std::move(args[2]), type_of(TypeKind::kBigInt));
  SqlType type = args[0].type;
  if (type.kind == TypeKind::kBinary) {
    type = binary_type(type.length);
  }
  return strict_function(type, args, [bytes](const Values& values) {
    const std::int64_t start = integer_of(values[1]);
    const std::int64_t length = integer_of(values[2]);
    return bytes ? cut(bytes_of(values[0]), start, length) : cut(text_of(values[0]), start, length);
  });
}

FunctionTable make_functions() {
  FunctionTable table;
  table["upper"] = text_to_text(upper);
  table["lower"] = text_to_text([](const std::u16string& text) { return lower(text); });
  table["ltrim"] = text_to_text(trim_left);
  table["rtrim"] = text_to_text(trim_right);
  table["trim"] =
      text_to_text([](const std::u16string& text) { return trim_left(trim_right(text)); });
  table["reverse"] = text_to_text(
      [](const std::u16string& text) { return std::u16string(text.rbegin(), text.rend()); });
  table["len"] = [](Context&, std::vector<Bound> args) {
    args[0] = as_text(std::move(args[0]));
    return strict_function(int_type(), args, [](const Values& values) -> Value {
      return static_cast<std::int64_t>(trim_right(text_of(values[0])).size());
    });
  };
  table["datalength"] = [](Context&, std::vector<Bound> args) {
    const SqlType type = args[0].type;
    return strict_function(
        type.is_large() ? type_of(TypeKind::kBigInt) : int_type(), args,
        [type](const Values& values) -> Value { return data_length(values[0], type); });
  };
  table["substring"] = substring;
  table["left"] = [](Context& context, std::vector<Bound> args) {
    args.insert(args.begin() + 1, constant(int_type(), std::int64_t{1}));
    return substring(context, args);
  };
  table["right"] = [](Context&, std::vector<Bound> args) {
    args[0] = as_text(std::move(args[0]));
    return strict_function(args[0].type, args, [](const Values& values) -> Value {
      const auto& text = text_of(values[0]);
      const std::size_t count = std::min(text.size(), size_at(values[1]));
      return text.substr(text.size() - count);
    });
  };
  table["replace"] = [](Context&, std::vector<Bound> args) {
    std::transform(args.begin(), args.end(), args.begin(), as_text);
    return strict_function(
        text_type(kMaxLength, args[0].type.is_unicode()), args, [](const Values& values) -> Value {
          return replaced(text_of(values[0]), text_of(values[1]), text_of(values[2]));
        });
  };
  table["charindex"] = [](Context&, std::vector<Bound> args) {
    args[0] = as_text(std::move(args[0]));
    args[1] = as_text(std::move(args[1]));
    return strict_function(int_type(), args, [](const Values& values) -> Value {
      const std::size_t start =
          values.size() > 2 ? std::max<std::size_t>(1, size_at(values[2])) - 1 : 0;
      const auto found = lower(text_of(values[1])).find(lower(text_of(values[0])), start);
      return found == std::u16string::npos ? std::int64_t{0} : static_cast<std::int64_t>(found) + 1;
    });
  };
  table["replicate"] = [](Context&, std::vector<Bound> args) {
    args[0] = as_text(std::move(args[0]));
    args[1] = converted(std::move(args[1]), type_of(TypeKind::kBigInt));
    // Not over 8000 bytes unless the text is of a max type: easily got wrong on a server too.
    const bool is_max = args[0].type.is_max();
    const std::size_t most = args[0].type.is_unicode() ? 4000 : 8000;
    return strict_function(
        text_type(is_max ? kMaxLength : static_cast<int>(most), args[0].type.is_unicode()), args,
        [is_max, most](const Values& values) -> Value {
          std::u16string text;
          for (std::size_t i = 0; i < size_at(values[1]); ++i) {
            text += text_of(values[0]);
            if (!is_max && text.size() >= most) {
              text.resize(most);
              break;
            }
          }
          return text;
        });
  };
  table["space"] = [](Context&, std::vector<Bound> args) {
    return strict_function(text_type(8000, false), args, [](const Values& values) -> Value {
      return std::u16string(size_at(values[0]), u' ');
    });
  };
  table["stuff"] = [](Context&, std::vector<Bound> args) {
    args[0] = as_text(std::move(args[0]));
    args[3] = as_text(std::move(args[3]));
    return strict_function(text_type(kMaxLength, args[0].type.is_unicode()), args,
                           [](const Values& values) -> Value {
                             std::u16string text = text_of(values[0]);
                             const std::size_t start = size_at(values[1]);
                             if (start < 1 || start > text.size()) {
                               return Null{};
                             }
                             return text.replace(start - 1, size_at(values[2]), text_of(values[3]));
                           });
  };
  table["quotename"] = [](Context&, std::vector<Bound> args) {
    args[0] = as_text(std::move(args[0]));
    return strict_function(text_type(258, true), args, [](const Values& values) -> Value {
      return u"[" + replaced(text_of(values[0]), u"]", u"]]") + u"]";
    });
  };
  table["char"] = [](Context&, std::vector<Bound> args) {
    return strict_function(text_type(1, false), args, [](const Values& values) -> Value {
      return utf16_of_cp1252(std::string(1, static_cast<char>(integer_of(values[0]))));
    });
  };
  table["nchar"] = [](Context&, std::vector<Bound> args) {
    return strict_function(text_type(2, true), args, [](const Values& values) -> Value {
      // Above the basic plane it takes a supplementary-character collation, as is assumed here.
      const auto point = static_cast<std::uint32_t>(integer_of(values[0]));
      if (point < 0x10000) {
        return std::u16string(1, static_cast<char16_t>(point));
      }
      return std::u16string{static_cast<char16_t>(0xD800 + ((point - 0x10000) >> 10)),
                            static_cast<char16_t>(0xDC00 + ((point - 0x10000) & 0x3FF))};
    });
  };
  table["unicode"] = [](Context&, std::vector<Bound> args) {
    args[0] = as_text(std::move(args[0]));
    return strict_function(int_type(), args, [](const Values& values) -> Value {
      return text_of(values[0]).empty() ? Value(Null{})
                                        : Value(std::int64_t{text_of(values[0])[0]});
    });
  };
  table["ascii"] = table["unicode"];
  table["concat"] = [](Context&, std::vector<Bound> args) { return concat(args); };
  return table;
}

}  // namespace

const FunctionTable& text_functions() {
  static const FunctionTable table = make_functions();
  return table;
}

}  // namespace headgate::test::sqlserver
