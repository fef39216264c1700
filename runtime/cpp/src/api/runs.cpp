// The C interface to runs of a model.
#include "api/guard.hpp"
#include "api/handles.hpp"
#include "decoding/align.hpp"
#include "results/answer.hpp"

namespace {

using namespace w2vc;

constexpr const char* kModel = "what w2vc_model_load gave";
constexpr std::size_t kBatchSize = 8;

const Model& model_of(const w2vc_model* model) {
    return api::given(model, "model", kModel)->model;
}

const decoding::Decoder* decoder_of(const Model& model, const w2vc_decoder* decoder) {
    return model.decoder(decoder ? decoder->decoder.get() : nullptr);
}

Sound sound_of(const w2vc_clip& clip) {
    if (clip.count) api::given(clip.samples, "samples", "count samples");
    return {{clip.samples, clip.count}, clip.time_mask, clip.time_mask_count};
}

results::Result result_of(Outcome& outcome) {
    if (const auto* error = std::get_if<Error>(&outcome)) throw *error;
    return std::move(std::get<results::Result>(outcome));
}

// One reading, whose text was known.
results::Result aligned(const bundle::Manifest& manifest, results::Result heard, const char* text) {
    const results::Array& logits = heard.arrays.front();
    decoding::Alignment found = decoding::Aligner(results::vocabulary_of(manifest))
                                    .align({logits.values.data(), logits.rows, logits.columns}, text);
    decoding::Hypothesis reading;
    reading.text = text;
    reading.tokens = std::move(found.tokens);
    reading.words = std::move(found.words);
    reading.score = reading.acoustic_score = found.score;
    results::Result result = results::transcript(manifest, {reading}, false, heard.duration);
    result.aligned = true;
    result.arrays = std::move(heard.arrays);
    return result;
}

}  // namespace

w2vc_status w2vc_run(const w2vc_model* model, const w2vc_decoder* decoder, const float* samples, size_t count,
                     w2vc_result** result, w2vc_error* error) {
    if (result) *result = nullptr;
    return api::guarded(error, W2VC_ERROR_INFERENCE, [&] {
        api::given(result, "result", "where to put the handle");
        const Model& own = model_of(model);
        std::vector<Outcome> outcomes =
            own.run({sound_of({samples, count, nullptr, 0})}, 1, decoder_of(own, decoder));
        *result = std::make_unique<w2vc_result>(result_of(outcomes.front())).release();
    });
}

w2vc_status w2vc_run_batch(const w2vc_model* model, const w2vc_decoder* decoder, const w2vc_clip* clips,
                           size_t count, size_t batch_size, w2vc_result** results, w2vc_error* errors,
                           w2vc_error* error) {
    for (size_t index = 0; results && index < count; ++index) results[index] = nullptr;
    for (size_t index = 0; errors && index < count; ++index) api::fail(&errors[index], W2VC_OK, "");
    return api::guarded(error, W2VC_ERROR_INFERENCE, [&] {
        const Model& own = model_of(model);
        if (count)
            api::given(clips, "clips", "count clips"),
                api::given(results, "results", "room for count results");
        std::vector<Sound> sounds;
        for (size_t index = 0; index < count; ++index) sounds.push_back(sound_of(clips[index]));
        std::vector<Outcome> outcomes =
            own.run(sounds, batch_size ? batch_size : kBatchSize, decoder_of(own, decoder));
        std::vector<std::unique_ptr<w2vc_result>> made(count);  // all or none, should memory run out
        for (size_t index = 0; index < count; ++index) {
            if (const auto* problem = std::get_if<Error>(&outcomes[index])) {
                if (errors) api::fail(&errors[index], api::status_of(problem->kind()), problem->what());
            } else {
                made[index] = std::make_unique<w2vc_result>(result_of(outcomes[index]));
            }
        }
        for (size_t index = 0; index < count; ++index) results[index] = made[index].release();
    });
}

w2vc_status w2vc_decode(const w2vc_model* model, const w2vc_decoder* decoder, const float* logits,
                        size_t frames, size_t tokens, w2vc_result** result, w2vc_error* error) {
    if (result) *result = nullptr;
    return api::guarded(error, W2VC_ERROR_INFERENCE, [&] {
        api::given(result, "result", "where to put the handle");
        const Model& own = model_of(model);
        if (!own.manifest().ctc) {
            throw Error(ErrorKind::argument,
                        "logits are read for head 'ctc'; this bundle has head '" + own.manifest().head + "'");
        }
        const size_t wanted = own.manifest().ctc->vocabulary.size();
        if (tokens != wanted) {
            throw Error(ErrorKind::argument, "there are " + std::to_string(tokens) +
                                                 " logits a frame; expected " + std::to_string(wanted) +
                                                 ", one of each token");
        }
        if (frames > SIZE_MAX / sizeof(float) / tokens) {
            throw Error(ErrorKind::argument,
                        std::to_string(frames) + " frames are more than memory can hold");
        }
        if (frames) api::given(logits, "logits", "frames x tokens values");
        std::vector<float> values;
        if (frames) values.assign(logits, logits + frames * tokens);
        const double duration = static_cast<double>(frames) * own.manifest().frame_seconds();
        *result = std::make_unique<w2vc_result>(
                      results::answer(own.manifest(), {{"logits", std::move(values), frames, tokens}},
                                      duration, decoder_of(own, decoder)))
                      .release();
    });
}

w2vc_status w2vc_align(const w2vc_model* model, const float* samples, size_t count, const char* text,
                       w2vc_result** result, w2vc_error* error) {
    if (result) *result = nullptr;
    return api::guarded(error, W2VC_ERROR_ARGUMENT, [&] {
        api::given(result, "result", "where to put the handle");
        const Model& own = model_of(model);
        api::given(text, "text", "the words to find");
        if (!own.manifest().ctc) {
            throw Error(ErrorKind::argument, "texts are aligned by head 'ctc'; this bundle has head '" +
                                                 own.manifest().head + "'");
        }
        // Logits first, so that what is wrong with the text is told from what is wrong with the clip.
        std::vector<Outcome> outcomes =
            own.run({sound_of({samples, count, nullptr, 0})}, 1, own.decoder(nullptr));
        *result = std::make_unique<w2vc_result>(aligned(own.manifest(), result_of(outcomes.front()), text))
                      .release();
    });
}
