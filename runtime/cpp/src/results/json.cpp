#include <cmath>

#include "results/result.hpp"
#include "support/text.hpp"

namespace w2vc::results {
namespace {

// As many digits as float32 has.
constexpr int kDigits = 7;

// A JSON object of members in order.
class Object {
  public:
    Object& add(const char* name, const std::string& value) {
        text_ += (text_.empty() ? "" : ", ") + text::json(name, false) + ": " + value;
        return *this;
    }
    Object& add(const Object& members) {
        text_ += (text_.empty() ? "" : ", ") + members.text_;
        return *this;
    }
    std::string text() const { return "{" + text_ + "}"; }

  private:
    std::string text_;
};

template <typename T, typename Show>
std::string list(const std::vector<T>& values, const Show& show) {
    std::string shown = "[";
    for (const T& value : values) {
        if (&value != &values.front()) shown += ", ";
        shown += show(value);
    }
    return shown + "]";
}

std::string quoted(const std::string& value) {
    return text::json(value, false);
}

std::string rounded(double value, int decimals) {
    return text::number(text::rounded(value, decimals));
}

std::string row(const float* values, std::size_t count) {
    std::string shown = "[";
    for (std::size_t i = 0; i < count; ++i) {
        if (i) shown += ", ";
        shown += text::number(text::significant(static_cast<double>(values[i]), kDigits));
    }
    return shown + "]";
}

std::string matrix(const Array& array) {
    std::string shown = "[";
    for (std::size_t i = 0; i < array.rows; ++i) {
        if (i) shown += ", ";
        shown += row(array.values.data() + i * array.columns, array.columns);
    }
    return shown + "]";
}

std::string word(const Word& value) {
    return Object()
        .add("text", quoted(value.text))
        .add("start", rounded(value.start, 3))
        .add("end", rounded(value.end, 3))
        .add("confidence", rounded(value.confidence, 4))
        .text();
}

void transcript(const Result& result, Object& object) {
    const Reading& best = result.readings.front();
    if (result.aligned) {
        object.add("words", list(best.words, word)).add("tokens", list(best.tokens, word));
        object.add("score", rounded(best.score, 4));
        return;
    }
    object.add("text", quoted(best.text)).add("words", list(best.words, word));
}

std::string alternative(const Reading& value) {
    return Object()
        .add("text", quoted(value.text))
        .add("score", rounded(value.score, 4))
        .add("acoustic_score", rounded(value.acoustic_score, 4))
        .add("language_score", rounded(value.language_score, 4))
        .text();
}

void classification(const Result& result, Object& object) {
    std::vector<std::string> held;
    for (const Score& each : result.scores) {
        if (each.holds) held.push_back(each.label);
    }
    if (!result.regression) object.add("labels", list(held, quoted));
    object.add(
        "scores", list(result.scores, [](const Score& each) {
            return Object().add("label", quoted(each.label)).add("score", rounded(each.score, 6)).text();
        }));
}

void frame_labels(const Result& result, Object& object) {
    object.add("labels", list(result.labels, quoted));
    object.add("segments", list(result.segments, [](const Segment& each) {
                   return Object()
                       .add("label", quoted(each.label))
                       .add("start", rounded(each.start, 3))
                       .add("end", rounded(each.end, 3))
                       .add("score", rounded(each.score, 6))
                       .text();
               }));
    const Array& scores = result.arrays.front();
    std::string rows = "[";
    for (std::size_t i = 0; i < scores.values.size(); ++i) {
        if (i % scores.columns == 0)
            rows += i ? "], [" : "[";
        else
            rows += ", ";
        rows +=
            text::number(std::rint(static_cast<double>(scores.values[i]) * 1e6) / 1e6);  // as numpy rounds
    }
    object.add("scores", rows + (scores.values.empty() ? "]" : "]]"));
}

// All but the duration and what comes after it.
Object members(const Result& result) {
    Object object;
    const auto add = [&](const char* name, const char* array) {
        const Array* found = result.find(array);
        object.add(name, row(found->values.data(), found->values.size()));
    };
    switch (result.head) {
        case Head::ctc:
            transcript(result, object);
            break;
        case Head::sequence_classification:
            classification(result, object);
            break;
        case Head::frame_classification:
            frame_labels(result, object);
            break;
        case Head::xvector:
            add("embedding", "embeddings");
            add("logits", "logits");
            break;
        case Head::base:
            for (const Array& each : result.arrays) object.add(each.name.c_str(), matrix(each));
            break;
        case Head::pretraining:
            object.add(
                "codevector_perplexity",
                text::number(static_cast<double>(result.find("codevector_perplexity")->values.front())));
            for (const char* name : {"projected_states", "projected_quantized_states"}) {
                object.add(name, matrix(*result.find(name)));
            }
            break;
    }
    if (result.head == Head::base || result.head == Head::frame_classification) {
        object.add("frame_seconds", text::number(result.frame_seconds));
    }
    return object;
}

std::string window(const Window& value) {
    Object object;
    object.add("start", rounded(value.start, 3)).add("end", rounded(value.end, 3));
    return object.add(members(value.result)).text();
}

}  // namespace

std::string to_json(const Result& result) {
    Object object;
    if (result.windows.empty()) {
        object = members(result);
    } else {
        object.add("windows", list(result.windows, window));
    }
    object.add("duration", rounded(result.duration, 3));
    if (result.weighed) object.add("alternatives", list(result.readings, alternative));
    return object.text();
}

}  // namespace w2vc::results
