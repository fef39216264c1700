#include "features/features.hpp"

#include <algorithm>
#include <cmath>

#include "bundle/manifest.hpp"
#include "goldens.hpp"

using namespace w2vc;

namespace {

// How far features may be from Python's: where a logarithm or a sum rounds the other way.
constexpr float kTolerance = 1e-5f;

struct Tally {
    std::size_t values = 0, different = 0;
    float largest = 0;
};

// Holds inputs to the records from `place` on: shape and values, shape and mask.
void compare(const features::Inputs& inputs, const std::vector<goldens::Record>& records, std::size_t place,
             Tally& tally) {
    CHECK(inputs.shape == records[place].as<std::int64_t>());
    const auto wanted = records[place + 1].as<float>();
    REQUIRE(inputs.values.size() == wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const float difference = std::fabs(inputs.values[i] - wanted[i]);
        const bool equal =
            inputs.values[i] == wanted[i] || (std::isnan(inputs.values[i]) && std::isnan(wanted[i]));
        tally.different += !equal;
        if (!equal) tally.largest = std::max(tally.largest, std::isfinite(difference) ? difference : 1e9f);
    }
    tally.values += wanted.size();
    CHECK(inputs.mask == records[place + 3].as<std::int64_t>());
}

}  // namespace

TEST_CASE("features are those of Python, for every constant of a recipe") {
    const auto records = goldens::records("features.records");
    Tally waveform, log_mel;
    for (std::size_t place = 0; place < records.size();) {
        REQUIRE(records[place].name == "manifest");
        const auto manifest = bundle::Manifest::parse(records[place].content, "FILE", "BUNDLE");
        const auto extractor = features::make_extractor(manifest.features);
        CAPTURE(records[place].content);
        std::vector<std::vector<float>> sounds;
        for (++place; records[place].name == "clip"; ++place) sounds.push_back(records[place].as<float>());
        std::vector<features::Clip> clips;
        for (const auto& sound : sounds) clips.push_back({sound.data(), sound.size()});
        const bool mel = std::holds_alternative<features::LogMel>(manifest.features);
        Tally tally;
        compare((*extractor)(clips, manifest.padding), records, place, tally);
        place += 4;
        for (const auto& clip : clips) {
            compare((*extractor)({clip}, manifest.padding), records, place, tally);
            place += 4;
        }
        CHECK(tally.largest <= kTolerance);
        Tally& all = mel ? log_mel : waveform;
        all.values += tally.values;
        all.different += tally.different;
        all.largest = std::max(all.largest, tally.largest);
    }
    CHECK(waveform.different == 0);
    CHECK(log_mel.different * 1000 <= log_mel.values);
    MESSAGE("of ", log_mel.values, " log-mel values ", log_mel.different, " differ, by up to ",
            log_mel.largest);
}
