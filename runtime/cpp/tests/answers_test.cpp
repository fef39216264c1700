// Whole bundles of every head, through the C interface, held to what Python answers.
#include "bundles.hpp"

using namespace w2vc::goldens;

namespace {

std::string json_of(w2vc_result* result) {
    const ResultHandle owner(result);
    const char* json = nullptr;
    REQUIRE(w2vc_result_json(result, &json, nullptr) == W2VC_OK);
    return std::string(json) + "\n";
}

// The records of a name from `place` on, which moves past them.
std::vector<const Record*> several(const std::vector<Record>& records, std::size_t& place, const char* name) {
    std::vector<const Record*> found;
    for (; place < records.size() && records[place].name == name; ++place) found.push_back(&records[place]);
    return found;
}

}  // namespace

TEST_CASE("answers are those of Python, to the last digit that is printed") {
    const auto records = w2vc::goldens::records("answers.records");
    for (std::size_t place = 0; place < records.size();) {
        REQUIRE(records[place].name == "bundle");
        const std::string bundle = records[place++].content;
        CAPTURE(bundle);
        const ModelHandle model = load(bundle);
        std::vector<std::vector<float>> sounds;
        for (const Record* each : several(records, place, "clip")) sounds.push_back(each->as<float>());
        const auto alone = several(records, place, "alone"), batch = several(records, place, "batch");
        REQUIRE(alone.size() == sounds.size());
        REQUIRE(batch.size() == sounds.size());
        std::vector<w2vc_clip> clips;
        for (std::size_t index = 0; index < sounds.size(); ++index) {
            clips.push_back({sounds[index].data(), sounds[index].size(), nullptr, 0});
            w2vc_result* result = nullptr;
            w2vc_error error{};
            REQUIRE(w2vc_run(model.get(), nullptr, clips[index].samples, clips[index].count, &result,
                             &error) == W2VC_OK);
            CHECK(json_of(result) == alone[index]->content);
        }
        std::vector<w2vc_result*> results(clips.size());
        REQUIRE(w2vc_run_batch(model.get(), nullptr, clips.data(), clips.size(), 0, results.data(), nullptr,
                               nullptr) == W2VC_OK);
        for (std::size_t index = 0; index < clips.size(); ++index) {
            CHECK(json_of(results[index]) == batch[index]->content);
        }
        if (place < records.size() && records[place].name == "mask") {
            const auto mask = records[place++].as<std::uint8_t>();
            w2vc_clip clip = clips[3];
            clip.time_mask = mask.data();
            clip.time_mask_count = mask.size();
            w2vc_result* result = nullptr;
            REQUIRE(w2vc_run_batch(model.get(), nullptr, &clip, 1, 0, &result, nullptr, nullptr) == W2VC_OK);
            CHECK(json_of(result) == records[place++].content);
        }
    }
}
