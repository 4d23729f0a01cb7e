#!/usr/bin/env python3
"""Fails on an #include under src/ that points upwards or sideways.

The libraries' arrows (headgate_library's DEPENDS) are checked by the linker; an include path can
still cheat, since all folders share one. cmd/ and tests/ may include anything and are not read.

  include_direction.py [ROOT]     checks ROOT/src (default: the tree this script lies in)
  include_direction.py --self-test  proves that a bad tree is reported and a good one is not
"""

import re
import sys
import tempfile
from pathlib import Path, PurePosixPath

# Bottom to top. A folder includes only folders of the lines above its own; folders on one line are
# neighbours. `db/*` stands for each folder in db/.
LEVELS = [
    ["base"],
    ["core"],
    ["db/*"],
    ["gate"],
    ["pipeline"],
    ["source/*", "sink/*", "transform", "store"],
    ["config"],
    ["admin", "daemon"],
    ["cmd"],
]

# Includes that are allowed against the order, as (file under src/, included path), each with the
# reason in a comment. None is needed.
EXCEPTIONS = set()

INCLUDE = re.compile(r"^\s*#\s*include\b\s*(.*)")
QUOTED = re.compile(r'"([^"]+)"')
ANGLED = re.compile(r"<([^>]+)>")

LEVEL_OF = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}


def place(path):
    """(folder, level) of a path under src/, such as ("db/pq", 2); None if it lies in no known one."""
    parts = PurePosixPath(path).parts
    if len(parts) > 1 and parts[0] in LEVEL_OF:
        return parts[0], LEVEL_OF[parts[0]]
    if len(parts) > 2 and f"{parts[0]}/*" in LEVEL_OF:
        return f"{parts[0]}/{parts[1]}", LEVEL_OF[f"{parts[0]}/*"]
    return None


def judge(src, file, argument):
    """What is wrong with one include of `file`, or None."""
    quoted = QUOTED.match(argument)
    angled = ANGLED.match(argument)
    if angled and not (src / angled[1]).exists():
        return None  # the standard library or a third party
    if not quoted and not angled:
        return f"#include {argument.strip()}: cannot be judged, write the path"
    path = (quoted or angled)[1]
    if (file, path) in EXCEPTIONS:
        return None
    if angled:
        return f'<{path}> is ours: write "{path}"'
    if ".." in PurePosixPath(path).parts:
        return f'"{path}": write the path from src/'

    from_folder, from_level = place(file)
    target = place(path)
    if target is None:
        return f'"{path}" is in no folder of src/: write the path from src/, or third parties in <>'
    to_folder, to_level = target
    if to_folder == from_folder or to_level < from_level:
        return None
    if to_level == from_level:
        return f'{from_folder} includes its neighbour {to_folder}: "{path}"'
    return f'{from_folder} includes {to_folder}, which stands above it: "{path}"'


def check(root):
    """All findings in ROOT/src, one line each."""
    src = root / "src"
    files = sorted(p for p in src.rglob("*") if p.suffix in (".hpp", ".cpp", ".h", ".cc", ".inc"))
    if not files:
        return [f"{src}: no C++ file found, so nothing was checked"]
    findings = []
    for path in files:
        file = path.relative_to(src).as_posix()
        if place(file) is None:
            findings.append(f"src/{file}: lies in no folder that {Path(__file__).name} knows")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            include = INCLUDE.match(line)
            finding = include and judge(src, file, include[1])
            if finding:
                findings.append(f"src/{file}:{number}: {finding}")
    return findings


def self_test():
    good = {
        "src/base/error.hpp": "#include <string>\n",
        "src/core/lsn.hpp": '#include "base/error.hpp"\n#include <vector>\n',
        "src/core/lsn.cpp": '#include "core/lsn.hpp"\n// #include "config/options.hpp"\n',
        "src/db/pq/connection.hpp": '#include <libpq-fe.h>\n#include "core/lsn.hpp"\n',
        "src/source/postgres/reader.cpp": '#include "db/pq/connection.hpp"\n#include "gate/a.hpp"\n',
        "src/config/options.hpp": '#include "sink/sqlite/driver.hpp"\n#include "store/a.hpp"\n',
        "src/daemon/supervisor.cpp": '  #  include "config/options.hpp"\n',
        "cmd/headgate/main.cpp": '#include "daemon/supervisor.hpp"\n#include "anything.hpp"\n',
    }
    # One file for each way to be wrong, and a part of the line that must be printed for it.
    bad = {
        "src/base/up.hpp": ('#include "core/lsn.hpp"\n', "base includes core, which stands above"),
        "src/gate/up.cpp": ('\n#include "daemon/a.hpp"\n', "gate/up.cpp:2: gate includes daemon"),
        "src/db/pq/side.cpp": ('#include "db/sqlite/a.hpp"\n', "neighbour db/sqlite"),
        "src/source/postgres/side.cpp": (
            '#include "source/sqlserver/a.hpp"\n',
            "neighbour source/sqlserver",
        ),
        "src/sink/odbc/side.cpp": ('#include "source/postgres/a.hpp"\n', "neighbour source/postgres"),
        "src/store/side.cpp": ('#include "transform/a.hpp"\n', "neighbour transform"),
        "src/pipeline/up.cpp": ('#include "store/a.hpp"\n', "pipeline includes store"),
        "src/transform/up.cpp": ('#include "config/a.hpp"\n', "transform includes config"),
        "src/admin/side.cpp": ('#include "daemon/a.hpp"\n', "admin includes its neighbour daemon"),
        "src/daemon/up.cpp": ('#include "cmd/headgate/a.hpp"\n', "daemon includes cmd"),
        "src/core/spaced.cpp": (' # include "gate/a.hpp"\n', "core includes gate"),
        "src/core/angled.cpp": ("#include <base/error.hpp>\n", "<base/error.hpp> is ours"),
        "src/core/dots.cpp": ('#include "base/../gate/a.hpp"\n', "write the path from src/"),
        "src/core/bare.cpp": ('#include "lsn.hpp"\n', "in no folder of src/"),
        "src/core/test.cpp": ('#include "support/fake.hpp"\n', "in no folder of src/"),
        "src/core/macro.cpp": ("#include HEADER\n", "cannot be judged"),
        "src/util/new.cpp": ("", "src/util/new.cpp: lies in no folder"),
        "src/loose.cpp": ("", "src/loose.cpp: lies in no folder"),
        "src/sink/loose.cpp": ("", "src/sink/loose.cpp: lies in no folder"),
    }

    def write(root, files):
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        assert check(root), "a tree without sources passed"
        write(root, good)
        assert check(root) == [], check(root)
        write(root, {name: text for name, (text, _) in bad.items()})
        findings = check(root)
        for name, (_, expected) in bad.items():
            about = [line for line in findings if line.startswith(f"{name}:")]
            assert len(about) == 1 and expected in about[0], (name, expected, about)
        assert len(findings) == len(bad), findings
    print(f"include_direction: self-test ok, {len(bad)} bad files reported, {len(good)} good ones not")


def main(arguments):
    if arguments == ["--self-test"]:
        self_test()
        return 0
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    findings = check(root)
    for finding in findings:
        print(finding)
    print(f"include_direction: {len(findings)} findings" if findings else "include_direction: ok")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
