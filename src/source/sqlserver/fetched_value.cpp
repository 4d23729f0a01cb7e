#include "source/sqlserver/fetched_value.hpp"

#include "core/float_text.hpp"

namespace headgate::source::sqlserver {

std::string fetched_value(odbc::Statement& rows, std::size_t place, const CapturedColumn& column) {
  switch (column.mapping.fetch) {
    case odbc::FetchAs::kInteger:
      return normalised(column.mapping, std::to_string(rows.integer(place)));
    case odbc::FetchAs::kFloat: {
      const double number = rows.real(place);
      return column.type.name == "real" ? float_text(static_cast<float>(number))
                                        : float_text(number);
    }
    case odbc::FetchAs::kPrinted:
      return normalised(column.mapping, rows.text(place));
    case odbc::FetchAs::kText:
    case odbc::FetchAs::kBytes:
      return rows.text(place);
  }
  return {};
}

}  // namespace headgate::source::sqlserver
