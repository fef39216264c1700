// Bundles with every kind of damage, held to what Python says of them.
#include "bundle/files.hpp"
#include "bundles.hpp"
#include "sessions/footprint.hpp"
#include "support/error.hpp"

using namespace w2vc::goldens;

namespace {

std::string said_of(const std::string& path) {
    try {
        w2vc::bundle::check_files(path, w2vc::bundle::Manifest::read(path));
    } catch (const w2vc::Error& error) {
        CHECK(error.kind() == w2vc::ErrorKind::bundle);
        return error.what();
    }
    return "";
}

// Where loading and running a bundle stops, as the records call it.
std::string stops(const std::string& path, const std::vector<float>& clip) {
    const w2vc_options options = {sizeof(w2vc_options), "cpu", nullptr, nullptr, 1};
    w2vc_model* model = nullptr;
    if (w2vc_model_load(path.c_str(), &options, &model, nullptr) != W2VC_OK) return "load";
    const ModelHandle owner(model);
    w2vc_result* result = nullptr;
    const w2vc_status status = w2vc_run(model, nullptr, clip.data(), clip.size(), &result, nullptr);
    const ResultHandle answer(result);
    return status == W2VC_OK ? "" : "run";
}

}  // namespace

TEST_CASE("a damaged bundle is refused with the line that Python has for it, or taken as it is there") {
    const auto records = w2vc::goldens::records("damage.records");
    std::size_t counts[2] = {};
    for (std::size_t place = 1; place + 2 < records.size(); place += 3) {
        const std::string& path = records[place].content;
        CAPTURE(path);
        const std::string said = said_of(path);
        CHECK(said == records[place + 1].content);
        ++counts[said.empty()];
        if (said.empty()) CHECK(stops(path, records[0].as<float>()) == records[place + 2].content);
    }
    if (!records.empty()) {
        CHECK(counts[0] > 80);
        CHECK(counts[1] > 10);
    }
}

TEST_CASE("the estimate of memory is that of Python") {
    const auto records = w2vc::goldens::records("footprints.records");
    for (std::size_t place = 0; place + 1 < records.size(); place += 2) {
        const std::string& path = records[place].content;
        CAPTURE(path);
        const auto manifest = w2vc::bundle::Manifest::read(path);
        const auto footprint = w2vc::sessions::Footprint::of(path, manifest, "cpu");
        REQUIRE(footprint);
        std::vector<double> needed;
        for (const std::size_t batch : {1, 7}) {
            for (const std::size_t samples : {400, 16000, 10'000'000})
                needed.push_back(footprint->needed(batch, samples));
        }
        const auto wanted = records[place + 1].as<double>();
        REQUIRE(needed.size() == wanted.size());
        for (std::size_t i = 0; i < wanted.size(); ++i)
            CHECK(needed[i] == doctest::Approx(wanted[i]).epsilon(1e-12));
        CHECK_FALSE(w2vc::sessions::Footprint::of(path, manifest, "cuda"));
        CHECK_FALSE(footprint->shortage(1, 16000, 16000));
        const auto shortage = footprint->shortage(1, std::size_t{1} << 40, 16000);
        REQUIRE(shortage);
        CHECK(shortage->find("19089 hours take about ") == 0);
        CHECK(shortage->find(" are free here, enough for a clip of ") != std::string::npos);
    }
}
