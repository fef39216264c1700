#include "api/language_model.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "decoding/text.hpp"
#include "support/error.hpp"
#include "support/files.hpp"
#include "support/json.hpp"
#include "support/text.hpp"

namespace w2vc {
namespace {

namespace fs = std::filesystem;
using json::DocumentError;

constexpr const char* kAlphabet = "alphabet.json";
constexpr const char* kDirectory = "language_model";
constexpr const char* kAttributes = "attrs.json";
constexpr const char* kUnigrams = "unigrams.txt";
constexpr std::size_t kMostUnigramBytes = std::size_t{1} << 30;
// Of the letters of a model's words, those that the tokens must have; of so many words.
constexpr double kLeastCoverage = 0.2;
constexpr std::size_t kWordsLookedAt = 1000;

std::vector<std::string> lines(const std::string& content) {
    std::vector<std::string> found;
    for (std::size_t start = 0; start < content.size();) {
        const std::size_t end = std::min(content.find('\n', start), content.size());
        std::size_t last = end;
        if (last > start && content[last - 1] == '\r') --last;
        found.push_back(content.substr(start, last - start));
        start = end + 1;
    }
    return found;
}

std::vector<std::string> read_labels(const fs::path& file) {
    const json::Document document = json::Document::read(file.string());
    const auto labels =
        document.root().is(json::Type::object) ? document.root().find("labels") : std::nullopt;
    std::vector<std::string> found;
    bool good = labels && labels->is(json::Type::list);
    for (const json::Value& each : good ? labels->items() : std::vector<json::Value>()) {
        good = good && each.is(json::Type::text);
        if (good) found.emplace_back(each.text());
    }
    if (!good) {
        throw DocumentError(std::string(kAlphabet) + " has no labels; expected what pyctcdecode writes");
    }
    return found;
}

void read_attributes(const fs::path& file, StoredModel& stored) {
    const json::Document document = json::Document::read(file.string());
    const json::Value root = document.root();
    constexpr std::array<const char*, 4> kNames = {"alpha", "beta", "unk_score_offset", "score_boundary"};
    bool known = root.is(json::Type::object) && root.size() == kNames.size();
    for (const char* name : kNames) known = known && root.find(name);
    if (!known) {
        throw DocumentError(
            std::string(kAttributes) +
            " is not what pyctcdecode writes; expected alpha, beta, unk_score_offset, score_boundary");
    }
    const auto wrong = [](const char* name, const json::Value& value, const char* expected) {
        return DocumentError(std::string(name) + " in " + kAttributes + " is " + json::shown(value) +
                             "; expected " + expected);
    };
    const auto number = [&](const char* name) {
        const json::Value value = *root.find(name);
        if (!value.is(json::Type::integer) && !value.is(json::Type::real))
            throw wrong(name, value, "a number");
        return value.number();
    };
    stored.alpha = number("alpha");
    stored.beta = number("beta");
    stored.unk_score_offset = number("unk_score_offset");
    const json::Value bounds = *root.find("score_boundary");
    if (!bounds.is(json::Type::boolean)) throw wrong("score_boundary", bounds, "true or false");
    stored.score_boundary = bounds.boolean();
}

// The one file of a directory that is a model.
fs::path model_in(const fs::path& directory) {
    std::vector<std::string> names;
    for (const fs::directory_entry& each : fs::directory_iterator(directory)) {
        const std::string name = each.path().filename().string();
        const bool hidden = name[0] == '.' || name.rfind("__", 0) == 0;
        const bool other = name == kAlphabet || name == kAttributes || name == kUnigrams;
        if (!hidden && !other && each.is_regular_file()) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    if (names.size() != 1) {
        throw DocumentError(directory.filename().string() + "/ has these models: " +
                            (names.empty() ? "none" : text::join(names, ", ")) + "; expected one file");
    }
    return directory / names.front();
}

fs::path read_directory(const fs::path& found, StoredModel& stored) {
    if (fs::is_regular_file(found / kAlphabet)) stored.labels = read_labels(found / kAlphabet);
    const fs::path directory = fs::is_directory(found / kDirectory) ? found / kDirectory : found;
    if (fs::is_regular_file(directory / kAttributes)) read_attributes(directory / kAttributes, stored);
    if (fs::is_regular_file(directory / kUnigrams)) {
        const std::string content = files::read((directory / kUnigrams).string(), kMostUnigramBytes);
        if (!text::is_utf8(content)) {
            throw DocumentError(std::string(kUnigrams) + " is not UTF-8; expected a word a line");
        }
        stored.unigrams = lines(content);
    }
    return model_in(directory);
}

std::set<char32_t> letters_of(const std::vector<std::string>& words) {
    std::set<char32_t> found;
    for (const std::string& word : words) {
        for (const char32_t letter : text::code_points(word)) found.insert(letter);
    }
    return found;
}

std::vector<std::string> words_of(const StoredModel& stored) {
    std::vector<std::string> found;
    if (stored.unigrams && !stored.unigrams->empty()) {
        found = *stored.unigrams;
    } else {
        const std::size_t count = stored.model->words();
        const std::size_t step = std::max<std::size_t>(1, count / kWordsLookedAt);
        for (std::size_t id = 0; id < count && found.size() < kWordsLookedAt; id += step) {
            found.emplace_back(stored.model->word(static_cast<std::uint32_t>(id)));
        }
    }
    const auto is_mark = [](const std::string& word) {
        return word == "<s>" || word == "</s>" || word == "<unk>";
    };
    found.erase(std::remove_if(found.begin(), found.end(), is_mark), found.end());
    return found;
}

void check_letters(const decoding::Vocabulary& vocabulary, const StoredModel& stored) {
    std::vector<std::string> tokens;
    for (std::size_t index = 0; index < vocabulary.tokens.size(); ++index) {
        const std::string& token = vocabulary.tokens[index];
        const auto& special = vocabulary.special_tokens;
        if (index == static_cast<std::size_t>(vocabulary.blank)) continue;
        if (token != vocabulary.delimiter && std::count(special.begin(), special.end(), token)) continue;
        tokens.push_back(vocabulary.lower_case ? decoding::lower(token) : token);
    }
    const std::vector<std::string> words = words_of(stored);
    const auto covered = [](const std::set<char32_t>& letters, const std::set<char32_t>& known) {
        const auto count = std::count_if(letters.begin(), letters.end(),
                                         [&](char32_t letter) { return known.count(letter) != 0; });
        return static_cast<double>(count) >= kLeastCoverage * static_cast<double>(letters.size());
    };
    if (words.empty() || covered(letters_of(words), letters_of(tokens))) return;
    const auto lowered = [](std::vector<std::string> texts) {
        for (std::string& each : texts) each = decoding::lower(each);
        return letters_of(texts);
    };
    const bool cased = covered(lowered(words), lowered(tokens));
    throw Error(ErrorKind::bundle, "the vocabulary cannot spell words such as " +
                                       text::quoted(words.front()) + " of " + stored.path +
                                       "; expected words " +
                                       (cased ? "in the vocabulary's case" : "of the vocabulary's letters"));
}

}  // namespace

StoredModel open_language_model(const std::string& path) {
    StoredModel stored;
    stored.path = path;
    try {
        std::error_code none;
        if (fs::is_directory(path, none)) {
            stored.path = read_directory(path, stored).string();
        } else if (!fs::exists(path, none)) {
            throw Error(ErrorKind::bundle,
                        path + ": there is no language model; expected a file, or a directory with " +
                            kDirectory + "/");
        }
        stored.model = decoding::LanguageModel::open(stored.path);
        return stored;
    } catch (const DocumentError& error) {
        throw Error(ErrorKind::bundle, path + ": " + error.what());
    } catch (const fs::filesystem_error& error) {
        throw Error(ErrorKind::bundle, path + ": it cannot be read (" + error.code().message() + ")");
    } catch (const decoding::Error& error) {
        throw Error(ErrorKind::bundle, error.what());
    }
}

decoding::Vocabulary spelled_for(decoding::Vocabulary vocabulary, const StoredModel& stored) {
    if (stored.labels) {
        const std::vector<std::string>& labels = *stored.labels;
        const auto refuse = [](const std::string& problem) { throw Error(ErrorKind::bundle, problem); };
        const std::size_t count = vocabulary.tokens.size();
        if (labels.size() != count) {
            refuse("the alphabet has " + std::to_string(labels.size()) + " labels and the vocabulary " +
                   std::to_string(count) + " tokens; expected the same");
        }
        const auto blank = static_cast<std::size_t>(vocabulary.blank);
        if (!labels[blank].empty()) {
            refuse("the alphabet calls token " + std::to_string(blank) + ", which is the blank, " +
                   text::quoted(labels[blank]) + "; expected ''");
        }
        std::vector<std::string> special;
        for (std::size_t index = 0; index < count; ++index) {
            const std::string& token = vocabulary.tokens[index];
            const auto& theirs = vocabulary.special_tokens;
            if (token == vocabulary.delimiter) {
                if (labels[index] != " " && labels[index] != token) {
                    refuse("the alphabet calls the word delimiter " + text::quoted(labels[index]) +
                           "; expected ' '");
                }
            } else if (std::count(theirs.begin(), theirs.end(), token)) {
                special.push_back(labels[index]);
            }
        }
        vocabulary.tokens = labels;
        vocabulary.delimiter = " ";
        vocabulary.special_tokens = std::move(special);
    }
    check_letters(vocabulary, stored);
    return vocabulary;
}

}  // namespace w2vc
