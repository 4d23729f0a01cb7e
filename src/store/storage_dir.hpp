// The folder of the pipeline's own files (storage.dir).

#pragma once

#include <string>

namespace headgate {

// Creates `path` (mode 0750) where it is missing, and makes sure that files can be written and
// synced there, so that an unwritable or full disk is found at start and not in the middle of the
// night.
//
// Throws Error{kSystemic} that names the folder and the remedy.
void prepare_storage_dir(const std::string& path);

// Whether prepare_storage_dir() could create `path`; creates nothing. Throws as that does.
void check_storage_parent(const std::string& path);

}  // namespace headgate
