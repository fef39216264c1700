// What the C interface makes of mistakes: a status and one line, and nothing lost.
#include <limits>
#include <thread>

#include "bundles.hpp"

using namespace w2vc::goldens;

namespace {

struct Said {
    w2vc_status status;
    std::string message;
};

Said load_with(const std::string& bundle, const w2vc_options& options) {
    w2vc_model* model = reinterpret_cast<w2vc_model*>(&model);
    w2vc_error error{};
    const w2vc_status status = w2vc_model_load(bundle.c_str(), &options, &model, &error);
    CHECK(error.status == status);
    CHECK(model == nullptr);
    return {status, error.message};
}

Said run_on(const w2vc_model* model, const std::vector<float>& samples) {
    w2vc_result* result = reinterpret_cast<w2vc_result*>(&result);
    w2vc_error error{};
    const w2vc_status status = w2vc_run(model, nullptr, samples.data(), samples.size(), &result, &error);
    if (status != W2VC_OK) CHECK(result == nullptr);
    const ResultHandle owner(result);
    return {status, error.message};
}

}  // namespace

TEST_CASE("arguments that are missing") {
    w2vc_error error{};
    w2vc_model* model = nullptr;
    w2vc_result* result = nullptr;
    w2vc_decoder* decoder = nullptr;
    const float sample = 0;
    CHECK(w2vc_model_load(nullptr, nullptr, &model, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(std::string(error.message) ==
          "bundle is NULL; expected the path of a bundle that w2vc-export wrote");
    CHECK(w2vc_model_load("/nowhere", nullptr, nullptr, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_model_load("/nowhere", nullptr, &model, nullptr) == W2VC_ERROR_BUNDLE);
    CHECK(w2vc_run(nullptr, nullptr, &sample, 1, &result, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(std::string(error.message) == "model is NULL; expected what w2vc_model_load gave");
    CHECK(w2vc_run_batch(nullptr, nullptr, nullptr, 0, 0, nullptr, nullptr, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_decode(nullptr, nullptr, &sample, 1, 1, &result, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_decoder_beam(nullptr, nullptr, &decoder, &error) == W2VC_ERROR_ARGUMENT);
    w2vc_model_free(nullptr);
    w2vc_result_free(nullptr);
    w2vc_decoder_free(nullptr);
    const char* json = nullptr;
    w2vc_span span;
    CHECK(w2vc_result_json(nullptr, &json, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_result_span(nullptr, W2VC_WORDS, 0, 0, &span) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_model_label(nullptr, 0) == nullptr);
    CHECK(std::string(w2vc_result_text(nullptr)).empty());
    CHECK(std::string(w2vc_version()) == W2VC_VERSION);
}

TEST_CASE("bundles that are none") {
    w2vc_options options = W2VC_OPTIONS_INIT;
    CHECK(load_with("/nowhere", options).message ==
          "/nowhere is not a directory; expected a bundle that w2vc-export wrote");
    CHECK(load_with("/proc/self", options).message ==
          "/proc/self has no manifest.json; expected a bundle that w2vc-export wrote");
    CHECK(load_with("/no\xff", options).status == W2VC_ERROR_BUNDLE);
    const Said longest = load_with("/" + std::string(2000, 'x'), options);
    CHECK(longest.status == W2VC_ERROR_BUNDLE);
    CHECK(longest.message.size() == sizeof(w2vc_error::message) - 1);
    options.size = 3;
    CHECK(load_with("/nowhere", options).status == W2VC_ERROR_ARGUMENT);
    options.size = sizeof options + 8;
    CHECK(load_with("/nowhere", options).message ==
          "options.size is " + std::to_string(sizeof options + 8) +
              "; begin with the INIT macro of the w2vc.h of this library");
    options.size = sizeof options;
    options.threads = -1;
    CHECK(load_with("/nowhere", options).message ==
          "threads is -1; expected a number of threads, or 0 for as many as there are cores");
}

TEST_CASE("an ONNX Runtime that is missing, too old, or none") {
    if (!load_golden("digits")) return;
    const std::string bundle = directory() + "/bundles/digits";
    w2vc_options options = W2VC_OPTIONS_INIT;
    const auto said = [&](const char* library) {
        options.onnxruntime = library;
        const Said found = load_with(bundle, options);
        CHECK(found.status == W2VC_ERROR_RUNTIME);
        CHECK(found.message.find("install ONNX Runtime 1.21 or newer") != std::string::npos);
        return found.message;
    };
    CHECK(said("/nowhere/libonnxruntime.so").find("ONNX Runtime cannot be loaded from /nowhere/") == 0);
    CHECK(said(W2VC_LIBRARY_OLD).find(" is ONNX Runtime 1.17.3, and w2vc needs 1.21 or newer; ") !=
          std::string::npos);
    CHECK(said(W2VC_LIBRARY_FOREIGN).find(" is not ONNX Runtime; ") != std::string::npos);
    CHECK(said(W2VC_LIBRARY_EMPTY).find(" is not ONNX Runtime; ") != std::string::npos);
    CHECK(said(W2VC_LIBRARY_BROKEN).find(" is ONNX Runtime what, and w2vc needs 1.21") != std::string::npos);
    CHECK(said((bundle + "/model.onnx").c_str()).find("ONNX Runtime cannot be loaded from ") == 0);
}

TEST_CASE("providers and precisions that there are not") {
    if (!load_golden("digits")) return;
    const std::string bundle = directory() + "/bundles/digits";
    w2vc_options options = W2VC_OPTIONS_INIT;
    options.precision = "fp8";
    CHECK(load_with(bundle, options).message == bundle + " has no graph in fp8; it has: fp32");
    options.precision = nullptr;
    options.provider = "gpu";
    CHECK(load_with(bundle, options).message ==
          "unknown provider 'gpu'; known: auto, cpu, cuda, tensorrt, tensorrt-rtx");
    options.provider = "tensorrt";
    CHECK(load_with(bundle, options).message ==
          "the bundle has no engine of tensorrt in fp32 for ONNX Runtime; w2vc compile --ep-context makes "
          "one, or use "
          "another provider");
    options.provider = "cuda";
    CHECK(load_with(bundle, options).status == W2VC_ERROR_ARGUMENT);
    options.provider = "auto";
    w2vc_model* model = nullptr;
    REQUIRE(w2vc_model_load(bundle.c_str(), &options, &model, nullptr) == W2VC_OK);
    const ModelHandle owner(model);
    CHECK(w2vc_model_head(model) == W2VC_HEAD_CTC);
    CHECK(w2vc_model_sample_rate(model) == 16000);
    CHECK(w2vc_model_label(model, w2vc_model_label_count(model)) == nullptr);
    CHECK(w2vc_model_label(model, 0) != nullptr);
}

TEST_CASE("clips that have no answer") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    std::vector<float> samples = tone();
    CHECK(run_on(model.get(), samples).status == W2VC_OK);
    CHECK(run_on(model.get(), {}).message == "audio is empty: it holds no samples");
    CHECK(run_on(model.get(), {0.5f, 0.5f}).message ==
          "audio is too short: 2 samples; at least 25 ms are needed");
    samples[5] = std::numeric_limits<float>::quiet_NaN();
    CHECK(run_on(model.get(), samples).message ==
          "audio holds NaN or infinite samples; expected finite ones");
    samples[5] = -std::numeric_limits<float>::infinity();
    CHECK(run_on(model.get(), samples).status == W2VC_ERROR_AUDIO);
    samples[5] = 1e10f;
    CHECK(run_on(model.get(), samples).message == "audio holds samples of up to 1e+10; expected -1 to 1");
    w2vc_error error{};
    w2vc_result* result = nullptr;
    CHECK(w2vc_run(model.get(), nullptr, nullptr, 5, &result, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(std::string(error.message) == "samples is NULL; expected count samples");
}

TEST_CASE("a clip of a batch that has no answer leaves the others theirs") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    const std::vector<float> good = tone(), other = tone(20000);
    const std::uint8_t mask = 1;
    const w2vc_clip clips[] = {{good.data(), good.size(), nullptr, 0},
                               {good.data(), 3, nullptr, 0},
                               {good.data(), good.size(), &mask, 1},
                               {other.data(), other.size(), nullptr, 0}};
    w2vc_result* results[4];
    w2vc_error errors[4], error{};
    CHECK(w2vc_run_batch(model.get(), nullptr, clips, 4, 2, results, errors, &error) == W2VC_OK);
    const ResultHandle owners[] = {ResultHandle(results[0]), ResultHandle(results[1]),
                                   ResultHandle(results[2]), ResultHandle(results[3])};
    CHECK(results[0] != nullptr);
    CHECK(results[1] == nullptr);
    CHECK(results[3] != nullptr);
    CHECK(errors[0].status == W2VC_OK);
    CHECK(errors[1].status == W2VC_ERROR_AUDIO);
    CHECK(std::string(errors[2].message) ==
          "mask_time_indices is for head 'pretraining'; this bundle has head 'ctc'");
    CHECK(w2vc_result_duration(results[3]) == 1.25);
    CHECK(w2vc_run_batch(model.get(), nullptr, nullptr, 0, 0, nullptr, nullptr, &error) == W2VC_OK);
}

TEST_CASE("parts of a result that there are not") {
    const ModelHandle model = load_golden("keywords");
    if (!model) return;
    const std::vector<float> samples = tone();
    w2vc_result* result = nullptr;
    REQUIRE(w2vc_run(model.get(), nullptr, samples.data(), samples.size(), &result, nullptr) == W2VC_OK);
    const ResultHandle owner(result);
    w2vc_span span;
    w2vc_reading reading;
    w2vc_score score{};
    w2vc_array array;
    CHECK(w2vc_result_reading_count(result) == 0);
    CHECK(w2vc_result_reading(result, 0, &reading) == W2VC_ERROR_ARGUMENT);
    for (const auto kind : {W2VC_WORDS, W2VC_TOKENS, W2VC_SEGMENTS, static_cast<w2vc_span_kind>(3)}) {
        CHECK(w2vc_result_span_count(result, kind, 0) == 0);
        CHECK(w2vc_result_span(result, kind, 0, 0, &span) == W2VC_ERROR_ARGUMENT);
    }
    const std::size_t classes = w2vc_result_score_count(result);
    CHECK(classes == w2vc_model_label_count(model.get()));
    CHECK(w2vc_result_score(result, classes, &score) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_result_score(result, 0, &score) == W2VC_OK);
    CHECK(score.holds == 1);
    CHECK(w2vc_result_array(result, 1, &array) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_result_find_array(result, "scores", &array) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_result_find_array(result, "logits", &array) == W2VC_OK);
    CHECK(array.columns == classes);
    w2vc_decoder* decoder = nullptr;
    w2vc_error error{};
    CHECK(w2vc_decoder_beam(model.get(), nullptr, &decoder, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(std::string(error.message) ==
          "decoders are for head 'ctc'; this bundle has head 'sequence-classification'");
}

TEST_CASE("logits from elsewhere are read as the model's own") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    const std::size_t tokens = w2vc_model_label_count(model.get());
    const auto records = w2vc::goldens::records("answers.records");
    const auto clip = records.at(8).as<float>();
    w2vc_result *whole = nullptr, *read = nullptr;
    w2vc_error error{};
    REQUIRE(w2vc_run(model.get(), nullptr, clip.data(), clip.size(), &whole, &error) == W2VC_OK);
    const ResultHandle first(whole);
    w2vc_array logits;
    REQUIRE(w2vc_result_find_array(whole, "logits", &logits) == W2VC_OK);
    REQUIRE(w2vc_decode(model.get(), nullptr, logits.values, logits.rows, tokens, &read, &error) == W2VC_OK);
    const ResultHandle second(read);
    CHECK(std::string(w2vc_result_text(whole)) == w2vc_result_text(read));
    CHECK(w2vc_result_span_count(whole, W2VC_WORDS, 0) == w2vc_result_span_count(read, W2VC_WORDS, 0));
    w2vc_result* none = nullptr;
    CHECK(w2vc_decode(model.get(), nullptr, logits.values, 1, tokens + 1, &none, &error) ==
          W2VC_ERROR_ARGUMENT);
    std::vector<float> bad(tokens, std::numeric_limits<float>::quiet_NaN());
    CHECK(w2vc_decode(model.get(), nullptr, bad.data(), 1, tokens, &none, &error) == W2VC_ERROR_INFERENCE);
    CHECK(w2vc_decode(model.get(), nullptr, bad.data(), SIZE_MAX / 8, tokens, &none, &error) ==
          W2VC_ERROR_ARGUMENT);
    REQUIRE(w2vc_decode(model.get(), nullptr, nullptr, 0, tokens, &none, &error) == W2VC_OK);
    const ResultHandle third(none);
    CHECK(std::string(w2vc_result_text(none)).empty());
}

TEST_CASE("beam search gives readings, best first, and refuses what cannot be met") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    w2vc_beam_options options = W2VC_BEAM_OPTIONS_INIT;
    options.nbest = 3;
    w2vc_decoder* made = nullptr;
    w2vc_error error{};
    REQUIRE(w2vc_decoder_beam(model.get(), &options, &made, &error) == W2VC_OK);
    const DecoderHandle decoder(made);
    const auto records = w2vc::goldens::records("answers.records");
    const auto clip = records.at(8).as<float>();
    w2vc_result *greedy = nullptr, *beam = nullptr;
    REQUIRE(w2vc_run(model.get(), nullptr, clip.data(), clip.size(), &greedy, &error) == W2VC_OK);
    const ResultHandle first(greedy);
    REQUIRE(w2vc_run(model.get(), decoder.get(), clip.data(), clip.size(), &beam, &error) == W2VC_OK);
    const ResultHandle second(beam);
    const std::size_t count = w2vc_result_reading_count(beam);
    CHECK(count >= 1);
    CHECK(count <= 3);
    double last = std::numeric_limits<double>::infinity();
    for (std::size_t index = 0; index < count; ++index) {
        w2vc_reading reading{};
        REQUIRE(w2vc_result_reading(beam, index, &reading) == W2VC_OK);
        CHECK(reading.score <= last);
        last = reading.score;
    }
    const auto refused = [&](const w2vc_beam_options& bad) {
        w2vc_decoder* none = nullptr;
        const w2vc_status status = w2vc_decoder_beam(model.get(), &bad, &none, &error);
        CHECK(none == nullptr);
        return status;
    };
    options.beam_width = 0;
    CHECK(refused(options) == W2VC_ERROR_ARGUMENT);
    options.beam_width = 100;
    options.language_model = "/nowhere/lm.arpa";
    CHECK(refused(options) == W2VC_ERROR_BUNDLE);
    options.language_model = nullptr;
    options.hotword_count = 1;
    CHECK(refused(options) == W2VC_ERROR_ARGUMENT);
    const w2vc_hotword word = {"seven", std::numeric_limits<double>::quiet_NaN()};
    options.hotwords = &word;
    CHECK(refused(options) == W2VC_ERROR_ARGUMENT);
}

TEST_CASE("a text that is known is found where greedy decoding hears it") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    const auto records = w2vc::goldens::records("answers.records");
    std::size_t last = 1;
    while (records[last + 1].name == "clip") ++last;
    const auto clip = records[last].as<float>();
    w2vc_result *greedy = nullptr, *aligned = nullptr;
    w2vc_error error{};
    REQUIRE(w2vc_run(model.get(), nullptr, clip.data(), clip.size(), &greedy, &error) == W2VC_OK);
    const ResultHandle first(greedy);
    const std::string text = w2vc_result_text(greedy);
    REQUIRE_FALSE(text.empty());
    REQUIRE(w2vc_align(model.get(), clip.data(), clip.size(), text.c_str(), &aligned, &error) == W2VC_OK);
    const ResultHandle second(aligned);
    CHECK(std::string(w2vc_result_text(aligned)) == text);
    REQUIRE(w2vc_result_span_count(aligned, W2VC_WORDS, 0) == w2vc_result_span_count(greedy, W2VC_WORDS, 0));
    for (std::size_t index = 0; index < w2vc_result_span_count(greedy, W2VC_WORDS, 0); ++index) {
        w2vc_span heard{}, found{};
        w2vc_result_span(greedy, W2VC_WORDS, 0, index, &heard);
        REQUIRE(w2vc_result_span(aligned, W2VC_WORDS, 0, index, &found) == W2VC_OK);
        CHECK(std::string(found.text) == heard.text);
        CHECK(found.start == doctest::Approx(heard.start).epsilon(0.05));
        CHECK(found.end == doctest::Approx(heard.end).epsilon(0.05));
    }
    w2vc_result* none = nullptr;
    CHECK(w2vc_align(model.get(), clip.data(), clip.size(), "\xd0\xb6", &none, &error) ==
          W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_align(model.get(), clip.data(), clip.size(), "", &none, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_align(model.get(), clip.data(), clip.size(), std::string(5000, 'e').c_str(), &none, &error) ==
          W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_align(model.get(), clip.data(), 3, "one", &none, &error) == W2VC_ERROR_AUDIO);
    CHECK(w2vc_align(model.get(), clip.data(), clip.size(), nullptr, &none, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(none == nullptr);
}

TEST_CASE("eight threads on one model give what one gives") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    const auto records = w2vc::goldens::records("answers.records");
    std::vector<std::vector<float>> sounds;
    for (std::size_t index = 1; records[index].name == "clip"; ++index)
        sounds.push_back(records[index].as<float>());
    std::vector<std::string> alone;
    for (std::size_t index = 0; index < sounds.size(); ++index) {
        alone.push_back(records[1 + sounds.size() + index].content);
    }
    std::vector<std::size_t> equal(8);
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < equal.size(); ++thread) {
        threads.emplace_back([&, thread] {
            for (std::size_t turn = 0; turn < sounds.size(); ++turn) {
                const std::size_t index = (turn + thread) % sounds.size();
                w2vc_result* result = nullptr;
                const char* json = nullptr;
                if (w2vc_run(model.get(), nullptr, sounds[index].data(), sounds[index].size(), &result,
                             nullptr) != W2VC_OK) {
                    continue;
                }
                const ResultHandle owner(result);
                w2vc_result_json(result, &json, nullptr);
                equal[thread] += alone[index] == std::string(json) + "\n";
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::size_t each : equal) CHECK(each == sounds.size());
}
