headgate_test(
  sqlite_test
  SOURCES sqlite_test.cpp
  DEPENDS db_sqlite
  LABELS unit
  LINK PkgConfig::SQLITE)
