// Calls of the C interface with arguments of all kinds, on a model where W2VC_FUZZ_BUNDLE names one.
#include <fuzzer/FuzzedDataProvider.h>
#include <w2vc/w2vc.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kMostSamples = 4000, kMostFrames = 40, kMostBeams = 200;

w2vc_model* model() {
    static w2vc_model* const loaded = [] {
        w2vc_model* made = nullptr;
        w2vc_options options = W2VC_OPTIONS_INIT;
        options.provider = "cpu";
        options.threads = 1;
        if (const char* bundle = std::getenv("W2VC_FUZZ_BUNDLE")) {
            if (w2vc_model_load(bundle, &options, &made, nullptr) != W2VC_OK) std::abort();
        }
        return made;
    }();
    return loaded;
}

std::vector<float> floats(FuzzedDataProvider& data, std::size_t count) {
    std::vector<float> values(count);
    const float scale = data.ConsumeFloatingPoint<float>();
    for (float& each : values) each = scale * static_cast<float>(data.ConsumeIntegral<std::int8_t>());
    return values;
}

// Reads a text to its end.
void touch(const char* text) {
    if (std::strlen(text) == static_cast<std::size_t>(-1)) std::abort();
}

// A failure has a status and a line.
bool failed(w2vc_status status, const w2vc_error& error) {
    if (status != error.status || (status == W2VC_OK) != !*error.message) std::abort();
    if (!std::memchr(error.message, 0, sizeof error.message) || status == W2VC_ERROR_INTERNAL) std::abort();
    return status != W2VC_OK;
}

void look(w2vc_result* result, FuzzedDataProvider& data) {
    const auto kind = static_cast<w2vc_span_kind>(data.ConsumeIntegralInRange<int>(0, 3));
    const std::size_t index = data.ConsumeIntegral<std::uint8_t>(),
                      reading = data.ConsumeIntegral<std::uint8_t>() % 4;
    w2vc_span span;
    w2vc_reading read;
    w2vc_score score;
    w2vc_array array;
    if (w2vc_result_span(result, kind, reading, index, &span) == W2VC_OK && span.start > span.end)
        std::abort();
    if (w2vc_result_reading(result, index, &read) == W2VC_OK) touch(read.text);
    if (w2vc_result_score(result, index, &score) == W2VC_OK) touch(score.label);
    if (w2vc_result_array(result, index, &array) == W2VC_OK) touch(array.name);
    w2vc_result_find_array(result, data.ConsumeRandomLengthString(20).c_str(), &array);
    touch(w2vc_result_text(result));
    const char* json = nullptr;
    w2vc_error error{};
    if (!failed(w2vc_result_json(result, &json, &error), error)) touch(json);
    w2vc_result_free(result);
}

w2vc_decoder* decoder(FuzzedDataProvider& data) {
    w2vc_beam_options options = W2VC_BEAM_OPTIONS_INIT;
    if (data.ConsumeBool()) options.size = data.ConsumeIntegralInRange<std::size_t>(0, sizeof options);
    options.alpha = data.ConsumeFloatingPoint<double>();
    options.beta = data.ConsumeFloatingPoint<double>();
    options.beam_width = data.ConsumeIntegralInRange<std::size_t>(0, kMostBeams);
    options.beam_prune_logp = data.ConsumeFloatingPoint<double>();
    options.token_min_logp = data.ConsumeFloatingPoint<double>();
    options.unk_score_offset = data.ConsumeFloatingPoint<double>();
    options.nbest = data.ConsumeIntegralInRange<std::size_t>(0, kMostBeams);
    const std::string word = data.ConsumeRandomLengthString(20);
    const w2vc_hotword hotword = {data.ConsumeBool() ? word.c_str() : nullptr,
                                  data.ConsumeFloatingPoint<double>()};
    options.hotwords = &hotword;
    options.hotword_count = data.ConsumeBool();
    w2vc_decoder* made = nullptr;
    w2vc_error error{};
    failed(w2vc_decoder_beam(model(), data.ConsumeBool() ? &options : nullptr, &made, &error), error);
    return made;
}

void load(FuzzedDataProvider& data) {
    w2vc_options options = W2VC_OPTIONS_INIT;
    options.size = data.ConsumeIntegralInRange<std::size_t>(0, 2 * sizeof options);
    const std::string provider = data.ConsumeRandomLengthString(10),
                      precision = data.ConsumeRandomLengthString(10);
    options.provider = provider.c_str();
    options.precision = precision.c_str();
    options.threads = data.ConsumeIntegral<int>() & ~3;
    w2vc_model* made = nullptr;
    w2vc_error error{};
    failed(w2vc_model_load(data.ConsumeRandomLengthString(100).c_str(), &options, &made, &error), error);
    w2vc_model_free(made);
}

void run(FuzzedDataProvider& data, const w2vc_decoder* decoding) {
    const std::size_t count = data.ConsumeIntegralInRange<std::size_t>(0, 3);
    std::vector<std::vector<float>> sounds;
    std::vector<w2vc_clip> clips;
    for (std::size_t index = 0; index < count; ++index) {
        sounds.push_back(floats(data, data.ConsumeIntegralInRange<std::size_t>(0, kMostSamples)));
    }
    const std::uint8_t mask = 1;
    for (const auto& sound : sounds)
        clips.push_back({sound.data(), sound.size(), data.ConsumeBool() ? &mask : nullptr, 1});
    std::vector<w2vc_result*> results(count);
    std::vector<w2vc_error> errors(count);
    w2vc_error error{};
    if (failed(w2vc_run_batch(model(), decoding, clips.data(), count,
                              data.ConsumeIntegralInRange<std::size_t>(0, 4), results.data(), errors.data(),
                              &error),
               error)) {
        return;
    }
    for (std::size_t index = 0; index < count; ++index) {
        if ((results[index] == nullptr) != failed(errors[index].status, errors[index])) std::abort();
        if (results[index]) look(results[index], data);
    }
}

void stream(FuzzedDataProvider& data, const w2vc_decoder* decoding) {
    w2vc_chunk_options options = W2VC_CHUNK_OPTIONS_INIT;
    options.chunk_seconds = data.ConsumeBool() ? 0.1 : data.ConsumeFloatingPoint<double>();
    options.context_seconds = data.ConsumeBool() ? -1 : data.ConsumeFloatingPoint<double>();
    options.pooled = data.ConsumeIntegralInRange<int>(0, 9) == 0;
    w2vc_stream* opened = nullptr;
    w2vc_error error{};
    if (failed(w2vc_stream_open(model(), decoding, &options, &opened, &error), error)) return;
    for (int turns = data.ConsumeIntegralInRange<int>(0, 5); turns; --turns) {
        const std::vector<float> sound =
            floats(data, data.ConsumeIntegralInRange<std::size_t>(0, kMostSamples));
        w2vc_result* result = nullptr;
        failed(w2vc_stream_push(opened, sound.data(), sound.size(), &error), error);
        if (!failed(w2vc_stream_read(opened, &result, &error), error) && result) look(result, data);
        if (data.ConsumeBool() && !failed(w2vc_stream_end(opened, &result, &error), error))
            look(result, data);
    }
    w2vc_stream_free(opened);
}

void decode(FuzzedDataProvider& data, const w2vc_decoder* decoding) {
    std::size_t tokens = w2vc_model_label_count(model());
    if (data.ConsumeBool()) tokens = data.ConsumeIntegralInRange<std::size_t>(0, 40);
    const std::size_t frames = data.ConsumeIntegralInRange<std::size_t>(0, kMostFrames);
    const std::vector<float> logits = floats(data, frames * tokens);
    w2vc_result* result = nullptr;
    w2vc_error error{};
    if (!failed(w2vc_decode(model(), decoding, logits.data(), frames, tokens, &result, &error), error))
        look(result, data);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    FuzzedDataProvider data(bytes, size);
    w2vc_decoder* decoding = data.ConsumeBool() ? decoder(data) : nullptr;
    switch (data.ConsumeIntegralInRange<int>(0, 3)) {
        case 0:
            load(data);
            break;
        case 1:
            run(data, decoding);
            break;
        case 2:
            stream(data, decoding);
            break;
        default:
            decode(data, decoding);
    }
    w2vc_decoder_free(decoding);
    return 0;
}
