// Audio of any length, through the C interface, held to what Python answers.
#include <algorithm>
#include <limits>

#include "bundles.hpp"

using namespace w2vc::goldens;

namespace {

std::string json_of(w2vc_result* result) {
    const ResultHandle owner(result);
    const char* json = nullptr;
    REQUIRE(w2vc_result_json(result, &json, nullptr) == W2VC_OK);
    return std::string(json) + "\n";
}

// The answer to a clip that comes in blocks of `count` samples.
std::string streamed(const w2vc_model* model, const w2vc_chunk_options& options,
                     const std::vector<float>& clip, std::size_t count) {
    w2vc_stream* stream = nullptr;
    REQUIRE(w2vc_stream_open(model, nullptr, &options, &stream, nullptr) == W2VC_OK);
    const StreamHandle owner(stream);
    w2vc_result* result = nullptr;
    for (std::size_t start = 0; start < clip.size(); start += count) {
        const std::size_t some = std::min(count, clip.size() - start);
        REQUIRE(w2vc_stream_push(stream, clip.data() + start, some, nullptr) == W2VC_OK);
        REQUIRE(w2vc_stream_read(stream, &result, nullptr) == W2VC_OK);  // which changes nothing
        w2vc_result_free(result);
    }
    REQUIRE(w2vc_stream_end(stream, &result, nullptr) == W2VC_OK);
    return json_of(result);
}

}  // namespace

TEST_CASE("chunks are those of Python, and so are their answers, however the samples come") {
    const auto records = w2vc::goldens::records("chunks.records");
    ModelHandle model;
    std::vector<float> clip;
    std::size_t answers = 0, errors = 0;
    for (std::size_t place = 0; place < records.size(); ++place) {
        if (records[place].name == "bundle") {
            model = load(records[place].content);
            clip = records[++place].as<float>();
            continue;
        }
        const auto given = records[place].as<double>();
        const Record& wanted = records[++place];
        const w2vc_chunk_options options = {sizeof(w2vc_chunk_options), given.at(0), given.at(1),
                                            static_cast<int>(given.at(2))};
        CAPTURE(w2vc_model_name(model.get()));
        CAPTURE(given.at(0));
        CAPTURE(given.at(1));
        w2vc_result* result = nullptr;
        w2vc_error error{};
        const w2vc_status status =
            w2vc_run_chunked(model.get(), nullptr, &options, clip.data(), clip.size(), &result, &error);
        if (wanted.name == "error") {
            ++errors;
            CHECK(status == W2VC_ERROR_ARGUMENT);
            CHECK(error.message == wanted.content);
            continue;
        }
        ++answers;
        INFO(error.message);
        REQUIRE(status == W2VC_OK);
        CHECK(json_of(result) == wanted.content);
        CHECK(streamed(model.get(), options, clip, 1999) == wanted.content);
    }
    CHECK((records.empty() || (answers > 50 && errors > 50)));
}

TEST_CASE("a stream goes on after a block that is no sound, and not after its end") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    const w2vc_chunk_options options = {sizeof(w2vc_chunk_options), 1, 0.2, 0};
    w2vc_stream* stream = nullptr;
    w2vc_error error{};
    w2vc_result* result = nullptr;
    REQUIRE(w2vc_stream_open(model.get(), nullptr, &options, &stream, &error) == W2VC_OK);
    const StreamHandle owner(stream);
    CHECK(w2vc_stream_end(stream, &result, &error) == W2VC_ERROR_AUDIO);
    CHECK(std::string(error.message) == "audio is empty: it holds no samples");
    const std::vector<float> sound = tone(20000);
    const float bad[] = {0, std::numeric_limits<float>::quiet_NaN()};
    CHECK(w2vc_stream_push(stream, sound.data(), 100, &error) == W2VC_OK);
    CHECK(w2vc_stream_end(stream, &result, &error) == W2VC_ERROR_AUDIO);
    CHECK(std::string(error.message) == "audio is too short: 100 samples; at least 25 ms are needed");
    CHECK(w2vc_stream_push(stream, bad, 2, &error) == W2VC_ERROR_AUDIO);
    CHECK(w2vc_stream_push(stream, nullptr, 2, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_stream_push(stream, nullptr, 0, &error) == W2VC_OK);
    CHECK(w2vc_stream_read(stream, &result, &error) == W2VC_OK);
    CHECK(result == nullptr);
    CHECK(w2vc_stream_push(stream, sound.data() + 100, sound.size() - 100, &error) == W2VC_OK);
    CHECK(w2vc_stream_read(stream, &result, &error) == W2VC_OK);
    REQUIRE(result != nullptr);
    CHECK(w2vc_result_duration(result) < 1);
    w2vc_result_free(result);
    REQUIRE(w2vc_stream_end(stream, &result, &error) == W2VC_OK);
    CHECK(w2vc_result_duration(result) == 1.25);
    w2vc_result_free(result);
    CHECK(w2vc_stream_push(stream, sound.data(), 5, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(std::string(error.message) == "the stream has ended; open another for the next recording");
    CHECK(w2vc_stream_end(stream, &result, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_stream_read(nullptr, &result, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_stream_end(nullptr, &result, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(w2vc_stream_open(nullptr, nullptr, nullptr, &stream, &error) == W2VC_ERROR_ARGUMENT);
    CHECK(stream == nullptr);
    w2vc_stream_free(nullptr);
}

TEST_CASE("windows belong to their result") {
    const ModelHandle model = load_golden("keywords");
    if (!model) return;
    const w2vc_chunk_options options = {sizeof(w2vc_chunk_options), 1, -1, 0};
    const std::vector<float> sound = tone(40000);
    w2vc_result* result = nullptr;
    w2vc_window window{};
    REQUIRE(w2vc_run_chunked(model.get(), nullptr, &options, sound.data(), sound.size(), &result, nullptr) ==
            W2VC_OK);
    const ResultHandle owner(result);
    REQUIRE(w2vc_result_window_count(result) == 3);
    REQUIRE(w2vc_result_window(result, 2, &window) == W2VC_OK);
    CHECK(window.start == 2);
    CHECK(window.end == 2.5);
    CHECK(w2vc_result_score_count(window.result) == w2vc_model_label_count(model.get()));
    CHECK(w2vc_result_score_count(result) == 0);
    CHECK(w2vc_result_window(result, 3, &window) == W2VC_ERROR_ARGUMENT);
    const char* json = nullptr;
    CHECK(w2vc_result_json(window.result, &json, nullptr) == W2VC_OK);
    CHECK(std::string(json).find("\"duration\": 0.5") != std::string::npos);
}

TEST_CASE("beam search goes on from chunk to chunk") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    const auto records = w2vc::goldens::records("chunks.records");
    const auto clip = records.at(1).as<float>();
    w2vc_beam_options beam = W2VC_BEAM_OPTIONS_INIT;
    beam.nbest = 3;
    w2vc_decoder* decoder = nullptr;
    REQUIRE(w2vc_decoder_beam(model.get(), &beam, &decoder, nullptr) == W2VC_OK);
    const DecoderHandle owner(decoder);
    w2vc_result *greedy = nullptr, *searched = nullptr;
    const w2vc_chunk_options options = {sizeof(w2vc_chunk_options), 2, -1, 0};
    REQUIRE(w2vc_run_chunked(model.get(), nullptr, &options, clip.data(), clip.size(), &greedy, nullptr) ==
            W2VC_OK);
    const ResultHandle first(greedy);
    REQUIRE(w2vc_run_chunked(model.get(), decoder, &options, clip.data(), clip.size(), &searched, nullptr) ==
            W2VC_OK);
    CHECK(w2vc_result_reading_count(searched) > 1);
    CHECK(std::string(w2vc_result_text(searched)) == w2vc_result_text(greedy));
    CHECK(json_of(searched).find("\"alternatives\": [{\"text\": ") != std::string::npos);
}
