#include "chunking/collect.hpp"

#include <utility>

#include "results/answer.hpp"
#include "support/error.hpp"

namespace w2vc::chunking {
namespace {

using results::Array;
using results::Result;

// One transcript: tokens and words that go on in the next chunk are one.
class Transcribed final : public Collector {
  public:
    Transcribed(const bundle::Manifest& manifest, const decoding::Decoder& decoder)
        : manifest_(manifest), weighs_(decoder.weighs()), stream_(decoder.stream()) {}

    void add(std::vector<Array> outputs, double, double) override {
        const Array& logits = outputs.front();
        stream_->push({logits.values.data(), logits.rows, logits.columns});
    }

    Result result(double duration) override {
        return results::transcript(manifest_, stream_->read(), weighs_, duration);
    }

  private:
    const bundle::Manifest& manifest_;
    bool weighs_;
    std::unique_ptr<decoding::Stream> stream_;
};

// One answer from the outputs of all chunks, one behind the other.
class Joined final : public Collector {
  public:
    explicit Joined(const bundle::Manifest& manifest) : manifest_(manifest) {}

    void add(std::vector<Array> outputs, double, double) override {
        if (joined_.empty()) {
            joined_ = std::move(outputs);
            return;
        }
        for (std::size_t index = 0; index < outputs.size(); ++index) {
            auto& values = joined_[index].values;
            values.insert(values.end(), outputs[index].values.begin(), outputs[index].values.end());
            joined_[index].rows += outputs[index].rows;
        }
    }

    Result result(double duration) override { return results::answer(manifest_, joined_, duration, nullptr); }

  private:
    const bundle::Manifest& manifest_;
    std::vector<Array> joined_;
};

// An answer for each chunk.
class InWindows final : public Collector {
  public:
    explicit InWindows(const bundle::Manifest& manifest) : manifest_(manifest) {}

    void add(std::vector<Array> outputs, double start, double end) override {
        windows_.push_back(
            {start, end, results::answer(manifest_, std::move(outputs), end - start, nullptr)});
    }

    Result result(double duration) override {
        Result result;
        result.head = results::head_of(manifest_);
        result.duration = duration;
        result.windows = windows_;
        return result;
    }

  private:
    const bundle::Manifest& manifest_;
    std::vector<results::Window> windows_;
};

// One answer from the mean of each output: over the frames, or over windows by their length.
class Pooled final : public Collector {
  public:
    explicit Pooled(const bundle::Manifest& manifest)
        : manifest_(manifest), framewise_(manifest.head == "base") {}

    void add(std::vector<Array> outputs, double start, double end) override {
        sums_.resize(outputs.size());
        for (std::size_t index = 0; index < outputs.size(); ++index) {
            const Array& array = outputs[index];
            std::vector<double>& sums = sums_[index];
            sums.resize(array.columns);
            for (std::size_t at = 0; at < array.values.size(); ++at) {
                double& sum = sums[at % array.columns];
                // Windows are weighed in float32, as numpy does by a number of Python.
                sum = framewise_ ? sum + static_cast<double>(array.values[at])
                                 : static_cast<double>(static_cast<float>(sum) +
                                                       array.values[at] * static_cast<float>(end - start));
            }
        }
        weight_ += framewise_ ? static_cast<double>(outputs.front().rows) : end - start;
    }

    Result result(double duration) override {
        std::vector<Array> means;
        for (std::size_t index = 0; index < sums_.size(); ++index) {
            Array mean{manifest_.outputs[index].name, {}, 1, sums_[index].size()};
            for (const double sum : sums_[index]) {
                mean.values.push_back(framewise_ ? static_cast<float>(sum / weight_)
                                                 : static_cast<float>(sum) / static_cast<float>(weight_));
            }
            means.push_back(std::move(mean));
        }
        Result result = results::answer(manifest_, std::move(means), duration, nullptr);
        if (framewise_) result.frame_seconds = duration;
        return result;
    }

  private:
    const bundle::Manifest& manifest_;
    bool framewise_;
    std::vector<std::vector<double>> sums_;
    double weight_ = 0;
};

}  // namespace

std::unique_ptr<Collector> collector_for(const bundle::Manifest& manifest, bool pooled,
                                         const decoding::Decoder* decoder) {
    const std::string& head = manifest.head;
    if (pooled) {
        if (head != "base" && head != "sequence-classification" && head != "xvector") {
            throw Error(
                ErrorKind::argument,
                "head '" + head +
                    "' has no pooled answer; those that have: base, sequence-classification, xvector");
        }
        return std::make_unique<Pooled>(manifest);
    }
    if (head == "ctc") return std::make_unique<Transcribed>(manifest, *decoder);
    if (head == "frame-classification") return std::make_unique<Joined>(manifest);
    return std::make_unique<InWindows>(manifest);
}

}  // namespace w2vc::chunking
