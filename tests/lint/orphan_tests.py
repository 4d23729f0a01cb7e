#!/usr/bin/env python3
"""Fails when a test file under tests/ is compiled into nothing.

Sources are listed by hand, so a new `*_test.cpp` or `*_dbtest.cpp` that is forgotten in its
CMakeLists.txt, or commented out there, would look as if it passed.

  orphan_tests.py [ROOT]       checks ROOT/tests (default: the tree this script lies in)
  orphan_tests.py --self-test  proves that a bad tree is reported and a good one is not
"""

import os
import re
import sys
import tempfile
from pathlib import Path

TEST_FILES = ("*_test.cpp", "*_dbtest.cpp")

COMMENT = re.compile(r"#.*")
WORD = re.compile(r'[^\s()"]+')


def named_in(cmake_file, root, seen):
    """All .cpp files that one CMakeLists.txt and those below `root` that it adds name, as absolute
    paths. `seen` are the files that were looked at already."""
    if cmake_file in seen:
        return set()
    seen.add(cmake_file)
    text = "\n".join(COMMENT.sub("", line) for line in cmake_file.read_text("utf-8").splitlines())
    words = WORD.findall(text.replace("${CMAKE_CURRENT_SOURCE_DIR}/", ""))
    here = cmake_file.parent
    named = set()
    for word in words:
        path = os.path.normpath(here / word)
        below = Path(path, "CMakeLists.txt")
        if word.endswith(".cpp"):
            named.add(path)
        # A folder that is never added builds nothing, whatever its CMakeLists.txt names. The folder
        # may stand in the list of a foreach rather than in add_subdirectory itself.
        elif "add_subdirectory" in words and path.startswith(f"{root}{os.sep}") and below.exists():
            named |= named_in(below, root, seen)
    return named


def check(root):
    """All findings in ROOT/tests, one line each."""
    tests = root.resolve() / "tests"
    files = sorted({path for pattern in TEST_FILES for path in tests.rglob(pattern)})
    top = tests / "CMakeLists.txt"
    if not files or not top.exists():
        return [f"{tests}: no test file or no CMakeLists.txt found, so nothing was checked"]
    named = named_in(top, tests, set())
    return [
        f"{path.relative_to(tests.parent)}: in no CMakeLists.txt that tests/CMakeLists.txt adds, "
        "so it is never built"
        for path in files
        if str(path) not in named
    ]


def self_test():
    tree = {
        "tests/CMakeLists.txt": "add_subdirectory(core)\n# add_subdirectory(left_out)\n"
        "foreach(folder IN ITEMS gate missing)\nadd_subdirectory(${folder})\nendforeach()\n"
        "headgate_test(sim SOURCES sim/run_test.cpp)\n",
        "tests/core/CMakeLists.txt": "headgate_test(core_test SOURCES lsn_test.cpp\n"
        '  "${CMAKE_CURRENT_SOURCE_DIR}/value_test.cpp" pq_dbtest.cpp LABELS unit)\n'
        "#  commented_test.cpp\n",
        "tests/gate/CMakeLists.txt": "headgate_test(gate_test SOURCES buffer_test.cpp)",
        "tests/left_out/CMakeLists.txt": "headgate_test(left_out SOURCES unreached_test.cpp)",
        "tests/core/lsn_test.cpp": "",
        "tests/core/value_test.cpp": "",
        "tests/core/pq_dbtest.cpp": "",
        "tests/core/helper.cpp": "",
        "tests/gate/buffer_test.cpp": "",
        "tests/sim/run_test.cpp": "",
    }
    orphans = [
        "tests/core/commented_test.cpp",
        "tests/core/forgotten_dbtest.cpp",
        "tests/gate/forgotten_test.cpp",
        "tests/gate/lsn_test.cpp",  # named, but in another folder
        "tests/left_out/unreached_test.cpp",
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        assert check(root), "a tree without tests passed"
        for name, text in tree.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        assert check(root) == [], check(root)
        for name in orphans:
            (root / name).write_text("", encoding="utf-8")
        found = [line.split(":")[0] for line in check(root)]
        assert found == orphans, found
    print(f"orphan_tests: self-test ok, {len(orphans)} orphans reported")


def main(arguments):
    if arguments == ["--self-test"]:
        self_test()
        return 0
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    findings = check(root)
    for finding in findings:
        print(finding)
    print(f"orphan_tests: {len(findings)} findings" if findings else "orphan_tests: ok")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
