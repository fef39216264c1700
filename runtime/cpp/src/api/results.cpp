// The C interface to results.
#include "api/guard.hpp"
#include "api/handles.hpp"

namespace {

using namespace w2vc;

const std::vector<results::Word>* words_of(const w2vc_result* result, w2vc_span_kind kind,
                                           std::size_t reading) {
    if (!result || (kind != W2VC_WORDS && kind != W2VC_TOKENS)) return nullptr;
    const auto& readings = result->result.readings;
    if (reading >= readings.size()) return nullptr;
    return kind == W2VC_WORDS ? &readings[reading].words : &readings[reading].tokens;
}

const std::vector<results::Segment>* segments_of(const w2vc_result* result, w2vc_span_kind kind,
                                                 std::size_t reading) {
    return result && kind == W2VC_SEGMENTS && reading == 0 ? &result->result.segments : nullptr;
}

w2vc_array shown(const results::Array& array) {
    return {array.name.c_str(), array.values.data(), array.rows, array.columns};
}

// What is at an index of a list, which may be none, put into an output.
template <typename List, typename Out, typename Show>
w2vc_status put(const List* list, std::size_t index, Out* out, const Show& show) {
    if (!list || index >= list->size() || !out) return W2VC_ERROR_ARGUMENT;
    *out = show((*list)[index]);
    return W2VC_OK;
}

template <typename List>
std::size_t count(const List* list) {
    return list ? list->size() : 0;
}

}  // namespace

void w2vc_result_free(w2vc_result* result) {
    const std::unique_ptr<w2vc_result> freed(result);
}

w2vc_head w2vc_result_head(const w2vc_result* result) {
    return result ? static_cast<w2vc_head>(result->result.head) : W2VC_HEAD_BASE;
}

double w2vc_result_duration(const w2vc_result* result) {
    return result ? result->result.duration : 0;
}

double w2vc_result_frame_seconds(const w2vc_result* result) {
    return result ? result->result.frame_seconds : 0;
}

const char* w2vc_result_text(const w2vc_result* result) {
    return result && !result->result.readings.empty() ? result->result.readings.front().text.c_str() : "";
}

w2vc_status w2vc_result_json(const w2vc_result* result, const char** json, w2vc_error* error) {
    if (json) *json = nullptr;
    return api::guarded(error, W2VC_ERROR_INTERNAL, [&] {
        api::given(json, "json", "where to put the text");
        api::given(result, "result", "what w2vc_run gave");
        std::call_once(result->once, [&] { result->json = results::to_json(result->result); });
        *json = result->json.c_str();
    });
}

size_t w2vc_result_window_count(const w2vc_result* result) {
    return result ? result->windows.size() : 0;
}

w2vc_status w2vc_result_window(const w2vc_result* result, size_t index, w2vc_window* window) {
    return put(result ? &result->result.windows : nullptr, index, window, [&](const results::Window& each) {
        return w2vc_window{each.start, each.end, result->windows[index].get()};
    });
}

size_t w2vc_result_reading_count(const w2vc_result* result) {
    return result ? result->result.readings.size() : 0;
}

w2vc_status w2vc_result_reading(const w2vc_result* result, size_t index, w2vc_reading* reading) {
    return put(result ? &result->result.readings : nullptr, index, reading, [](const results::Reading& each) {
        return w2vc_reading{each.text.c_str(), each.score, each.acoustic_score, each.language_score};
    });
}

size_t w2vc_result_span_count(const w2vc_result* result, w2vc_span_kind kind, size_t reading) {
    return count(words_of(result, kind, reading)) + count(segments_of(result, kind, reading));
}

w2vc_status w2vc_result_span(const w2vc_result* result, w2vc_span_kind kind, size_t reading, size_t index,
                             w2vc_span* span) {
    if (kind == W2VC_SEGMENTS) {
        return put(segments_of(result, kind, reading), index, span, [](const results::Segment& each) {
            return w2vc_span{each.label.c_str(), each.start, each.end, each.score};
        });
    }
    return put(words_of(result, kind, reading), index, span, [](const results::Word& each) {
        return w2vc_span{each.text.c_str(), each.start, each.end, each.confidence};
    });
}

size_t w2vc_result_score_count(const w2vc_result* result) {
    return result ? result->result.scores.size() : 0;
}

w2vc_status w2vc_result_score(const w2vc_result* result, size_t index, w2vc_score* score) {
    return put(result ? &result->result.scores : nullptr, index, score, [](const results::Score& each) {
        return w2vc_score{each.label.c_str(), each.score, each.holds};
    });
}

size_t w2vc_result_array_count(const w2vc_result* result) {
    return result ? result->result.arrays.size() : 0;
}

w2vc_status w2vc_result_array(const w2vc_result* result, size_t index, w2vc_array* array) {
    return put(result ? &result->result.arrays : nullptr, index, array, shown);
}

w2vc_status w2vc_result_find_array(const w2vc_result* result, const char* name, w2vc_array* array) {
    if (!result || !name || !array) return W2VC_ERROR_ARGUMENT;
    for (const results::Array& each : result->result.arrays) {
        if (each.name != name) continue;
        *array = shown(each);
        return W2VC_OK;
    }
    return W2VC_ERROR_ARGUMENT;
}
