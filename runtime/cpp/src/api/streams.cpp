// The C interface to audio of any length.
#include "api/guard.hpp"
#include "api/handles.hpp"

namespace {

using namespace w2vc;

constexpr const char* kModel = "what w2vc_model_load gave";
constexpr const char* kStream = "what w2vc_stream_open gave";

chunking::Options chunk_options(const w2vc_chunk_options* options) {
    const auto theirs = api::read<w2vc_chunk_options>(options, W2VC_CHUNK_OPTIONS_INIT, "options");
    chunking::Options ours;
    if (theirs.chunk_seconds != 0) ours.chunk_seconds = theirs.chunk_seconds;
    if (!(theirs.context_seconds < 0)) ours.context_seconds = theirs.context_seconds;
    ours.pooled = theirs.pooled != 0;
    return ours;
}

std::unique_ptr<w2vc_stream> opened(const w2vc_model* model, const w2vc_decoder* decoder,
                                    const w2vc_chunk_options* options) {
    return std::make_unique<w2vc_stream>(api::given(model, "model", kModel)->model,
                                         decoder ? decoder->decoder.get() : nullptr, chunk_options(options));
}

features::Clip clip_of(const float* samples, size_t count) {
    if (count) api::given(samples, "samples", "count samples");
    return {samples, count};
}

}  // namespace

w2vc_status w2vc_run_chunked(const w2vc_model* model, const w2vc_decoder* decoder,
                             const w2vc_chunk_options* options, const float* samples, size_t count,
                             w2vc_result** result, w2vc_error* error) {
    if (result) *result = nullptr;
    return api::guarded(error, W2VC_ERROR_INFERENCE, [&] {
        api::given(result, "result", "where to put the handle");
        const auto stream = opened(model, decoder, options);
        stream->stream.push(clip_of(samples, count));
        *result = std::make_unique<w2vc_result>(stream->stream.end()).release();
    });
}

w2vc_status w2vc_stream_open(const w2vc_model* model, const w2vc_decoder* decoder,
                             const w2vc_chunk_options* options, w2vc_stream** stream, w2vc_error* error) {
    if (stream) *stream = nullptr;
    return api::guarded(error, W2VC_ERROR_INFERENCE, [&] {
        api::given(stream, "stream", "where to put the handle");
        *stream = opened(model, decoder, options).release();
    });
}

w2vc_status w2vc_stream_push(w2vc_stream* stream, const float* samples, size_t count, w2vc_error* error) {
    return api::guarded(error, W2VC_ERROR_INFERENCE,
                        [&] { api::given(stream, "stream", kStream)->stream.push(clip_of(samples, count)); });
}

w2vc_status w2vc_stream_read(w2vc_stream* stream, w2vc_result** result, w2vc_error* error) {
    if (result) *result = nullptr;
    return api::guarded(error, W2VC_ERROR_INFERENCE, [&] {
        api::given(result, "result", "where to put the handle");
        auto found = api::given(stream, "stream", kStream)->stream.read();
        if (found) *result = std::make_unique<w2vc_result>(std::move(*found)).release();
    });
}

w2vc_status w2vc_stream_end(w2vc_stream* stream, w2vc_result** result, w2vc_error* error) {
    if (result) *result = nullptr;
    return api::guarded(error, W2VC_ERROR_INFERENCE, [&] {
        api::given(result, "result", "where to put the handle");
        api::given(stream, "stream", kStream);
        *result = std::make_unique<w2vc_result>(stream->stream.end()).release();
    });
}

void w2vc_stream_free(w2vc_stream* stream) {
    const std::unique_ptr<w2vc_stream> freed(stream);
}
