#include "bundle/manifest.hpp"

#include "goldens.hpp"
#include "support/error.hpp"

namespace {

std::string said_of(const std::string& text) {
    try {
        w2vc::bundle::Manifest::parse(text, "FILE", "BUNDLE");
    } catch (const w2vc::Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a manifest is refused with the line that Python has for it, or taken as it is there") {
    std::size_t refused = 0, taken = 0;
    const auto records = w2vc::goldens::records("manifests.records");
    for (std::size_t index = 0; index + 1 < records.size(); index += 2) {
        const std::string mine = said_of(records[index].content);
        const std::string& wanted = records[index + 1].content;
        wanted.empty() ? ++taken : ++refused;
        if (mine != wanted) {
            CAPTURE(records[index].content.substr(0, 200));
            CHECK(mine == wanted);
        }
    }
    if (!records.empty()) {
        CHECK(taken > 100);
        CHECK(refused > 3000);
    }
    MESSAGE(taken, " taken, ", refused, " refused");
}

TEST_CASE("a text that is no manifest") {
    CHECK(said_of("") == "FILE is damaged: it is not a manifest, it is not JSON; export the bundle again");
    CHECK(said_of("{}") == "FILE is damaged: it is not a manifest; export the bundle again");
    CHECK(said_of("{\"schema\": 9}") ==
          "BUNDLE has manifest schema 9, and this w2vc reads schema 5; upgrade w2vc");
}
