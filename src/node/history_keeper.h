// The history's own process: the daemon tells it samples (history_sample.h) and asks it, a JSON object a
// line.
//
//   {"commit": time_ms}   the sample is whole
//   {"ask": number, "metrics": […], "slice"?, "gpu"?, "since_ms", "until_ms", "now_ms", "points"}
//
// It tells {"answer": number, "history": {…}} (docs/api.md), or with "code" and "message" instead of the
// history; and
// {"remark": text, "what": "lost", "kept" or "moved_aside", "why"} of what people should know: once where
// samples are lost, and where they are not any more.
#pragma once

#include <cstdio>
#include <string>

#include "monitoring/history/history_store.h"
#include "node/json.h"

namespace tessera::node {

// As an answer has it, without its time.
Json history_json(const monitoring::HistoryAnswer& answer);

// Until the end of `input`; the exit code.
int keep_history(const std::string& path, FILE* input, FILE* output);

}  // namespace tessera::node
