// Language models as Hugging Face stores them, through the C interface.
#include <filesystem>
#include <fstream>

#include "bundles.hpp"
#include "decoding/models.hpp"

using namespace w2vc::goldens;
namespace fs = std::filesystem;

namespace {

// A directory as Wav2Vec2ProcessorWithLM has it; of a bundle where its tokens are given.
class Stored {
  public:
    Stored() {
        fs::remove_all(path_);
        fs::create_directories(path_ + "/language_model");
        write("language_model/3gram.arpa", w2vc::decoding::tests::kTrigrams);
    }
    ~Stored() { fs::remove_all(path_); }
    void write(const std::string& name, const std::string& content) const {
        std::ofstream(path_ + "/" + name) << content;
    }
    const std::string& path() const { return path_; }

  private:
    std::string path_ = "stored_model_test";
};

std::string refused(const w2vc_model* model, const std::string& path) {
    w2vc_beam_options options = W2VC_BEAM_OPTIONS_INIT;
    options.language_model = path.c_str();
    w2vc_decoder* decoder = nullptr;
    w2vc_error error{};
    CHECK(w2vc_decoder_beam(model, &options, &decoder, &error) == W2VC_ERROR_BUNDLE);
    CHECK(decoder == nullptr);
    return error.message;
}

// Scores of the best reading of some logits.
w2vc_reading read(const w2vc_model* model, const w2vc_beam_options& options) {
    w2vc_decoder* decoder = nullptr;
    w2vc_error error{};
    const w2vc_status status = w2vc_decoder_beam(model, &options, &decoder, &error);
    INFO(error.message);
    REQUIRE(status == W2VC_OK);
    const DecoderHandle owner(decoder);
    const std::size_t tokens = w2vc_model_label_count(model);
    std::vector<float> logits(40 * tokens);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7919 % 97) / 12;
    w2vc_result* result = nullptr;
    REQUIRE(w2vc_decode(model, decoder, logits.data(), 40, tokens, &result, nullptr) == W2VC_OK);
    const ResultHandle kept(result);
    w2vc_reading reading{};
    REQUIRE(w2vc_result_reading(result, 0, &reading) == W2VC_OK);
    reading.text = nullptr;
    return reading;
}

}  // namespace

TEST_CASE("a directory has its model's weights, which a caller's own go before") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    const Stored stored;
    const std::string arpa = stored.path() + "/language_model/3gram.arpa";
    w2vc_beam_options options = W2VC_BEAM_OPTIONS_INIT;
    options.language_model = arpa.c_str();
    const w2vc_reading plain = read(model.get(), options);
    options.language_model = stored.path().c_str();
    CHECK(read(model.get(), options).score == plain.score);
    stored.write("language_model/attrs.json",
                 R"({"alpha": 2, "beta": 0.25, "unk_score_offset": -3.5, "score_boundary": true})");
    const w2vc_reading weighed = read(model.get(), options);
    CHECK(weighed.score != plain.score);
    options.alpha = 0.5;
    options.beta = 1.5;
    options.unk_score_offset = -10;
    CHECK(read(model.get(), options).score == plain.score);
    options.language_model = arpa.c_str();
    options.alpha = 2;
    options.beta = 0.25;
    options.unk_score_offset = -3.5;
    CHECK(read(model.get(), options).score == weighed.score);
    stored.write("language_model/unigrams.txt", "one\r\ntwo\n");
    options.language_model = stored.path().c_str();
    CHECK(read(model.get(), options).score <= weighed.score);
    options.language_model = "";
    CHECK(read(model.get(), options).language_score > weighed.language_score);
}

TEST_CASE("a directory that is no language model") {
    const ModelHandle model = load_golden("digits");
    if (!model) return;
    CHECK(refused(model.get(), "/nowhere") ==
          "/nowhere: there is no language model; expected a file, or a directory with language_model/");
    const Stored stored;
    const std::string start = stored.path() + ": ";
    stored.write("language_model/attrs.json", R"({"alpha": 2})");
    CHECK(refused(model.get(), stored.path()) ==
          start +
              "attrs.json is not what pyctcdecode writes; expected alpha, beta, unk_score_offset, "
              "score_boundary");
    stored.write("language_model/attrs.json",
                 R"({"alpha": "2", "beta": 0, "unk_score_offset": 0, "score_boundary": true})");
    CHECK(refused(model.get(), stored.path()) == start + "alpha in attrs.json is '2'; expected a number");
    stored.write("language_model/attrs.json",
                 R"({"alpha": 2, "beta": 0, "unk_score_offset": 0, "score_boundary": 1})");
    CHECK(refused(model.get(), stored.path()) ==
          start + "score_boundary in attrs.json is 1; expected true or false");
    fs::remove(stored.path() + "/language_model/attrs.json");
    stored.write("language_model/unigrams.txt", "\xff");
    CHECK(refused(model.get(), stored.path()) == start + "unigrams.txt is not UTF-8; expected a word a line");
    stored.write("language_model/unigrams.txt", "ONE\n");
    CHECK(refused(model.get(), stored.path()) ==
          "the vocabulary cannot spell words such as 'ONE' of " + stored.path() +
              "/language_model/3gram.arpa; expected words in the vocabulary's case");
    stored.write("language_model/unigrams.txt", "\xd0\xb6\n");
    CHECK(refused(model.get(), stored.path()).find("expected words of the vocabulary's letters") !=
          std::string::npos);
    fs::remove(stored.path() + "/language_model/unigrams.txt");
    stored.write("alphabet.json", R"({"labels": ["a"]})");
    CHECK(refused(model.get(), stored.path()).find("the alphabet has 1 labels and the vocabulary ") == 0);
    stored.write("alphabet.json", "[]");
    CHECK(refused(model.get(), stored.path()) ==
          start + "alphabet.json has no labels; expected what pyctcdecode writes");
    fs::remove(stored.path() + "/alphabet.json");
    stored.write("language_model/other.lm", "");
    CHECK(refused(model.get(), stored.path()) ==
          start + "language_model/ has these models: 3gram.arpa, other.lm; expected one file");
}
