#include "api/model.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <new>

#include "api/language_model.hpp"
#include "bundle/files.hpp"
#include "decoding/greedy.hpp"
#include "results/answer.hpp"
#include "sessions/checked.hpp"
#include "sessions/library.hpp"
#include "support/memory.hpp"
#include "support/text.hpp"

namespace w2vc {
namespace {

// On a GPU: padding of a batch, as a share of what is padded. More of it costs more than running twice.
constexpr double kMostPadding = 0.25;
// On a CPU padding takes as long as sound does. What a batch spares is to fetch the weights once more, which
// takes as long as half a second of sound; and what is long enough by itself keeps the processor busy.
constexpr double kRunSeconds = 0.5;
constexpr double kMostSeconds = 16.0;
// The share of the free memory that a chunk may take where its length is not given.
constexpr double kChunkMemory = 0.5;
// Floats that hold integers of 32 bits are that large. What is larger is no sound, and its squares leave
// float32.
constexpr float kLoudest = 2147483648.0f;

// Whether clips are computed sooner in one batch than alone. longest, sound: samples of the longest, and of all.
bool pays(std::size_t count, std::size_t longest, std::size_t sound, double rate, bool cpu) {
    const auto padded = static_cast<double>(longest) * static_cast<double>(count);
    const auto heard = static_cast<double>(sound);
    if (!cpu) return padded <= (1 + kMostPadding) * heard;
    return padded - heard <= static_cast<double>(count - 1) * kRunSeconds * rate && padded <= kMostSeconds * rate;
}

bool finite(const float* values, std::size_t count) {
    // A sum of products with 0 is 0 unless one of them is not finite, and is computed many at once.
    float sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += values[i] * 0.0f;
    return sum == 0;
}

void expect_finite(const std::string& what, const float* values, std::size_t count) {
    if (!finite(values, count)) {
        throw Error(ErrorKind::inference,
                    what + " are not finite: there is NaN or infinity among them; expected finite values");
    }
}

Error inaudible(const std::string& problem) {
    return {ErrorKind::audio, "audio " + problem};
}

std::string scientific(float value) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.0e", static_cast<double>(value));
    return buffer;
}

}  // namespace

Model::Model(const std::string& bundle, const std::string& precision, const sessions::OpenOptions& options)
    : path_(bundle) {
    // ONNX Runtime takes as long to start as the files to check.
    auto library = sessions::Library::opening(options.library);
    manifest_ = bundle::Manifest::read(bundle);
    bundle::check_files(bundle, manifest_);
    const bundle::Graph& graph = bundle::find_graph(bundle, manifest_, precision);
    extractor_ = features::make_extractor(manifest_.features);
    session_ = sessions::open(bundle, manifest_, graph, options, library);
    footprint_ = sessions::Footprint::of(bundle, manifest_, provider());
    if (manifest_.ctc)
        decoder_ = std::make_unique<decoding::GreedyDecoder>(results::vocabulary_of(manifest_));
}

std::string Model::language_model() const {
    const std::string folder = std::string(kLanguageModel) + "/";
    for (const auto& [name, entry] : manifest_.files) {
        if (name.rfind(folder, 0) == 0) return path_ + "/" + kLanguageModel;
    }
    return "";
}

const decoding::Decoder* Model::decoder(const decoding::Decoder* given) const {
    if (given && !manifest_.ctc) {
        throw Error(ErrorKind::argument,
                    "decoders are for head 'ctc'; this bundle has head '" + manifest_.head + "'");
    }
    return given ? given : decoder_.get();
}

std::optional<std::int64_t> Model::longest() const {
    std::optional<std::int64_t> found;
    const auto bound = [&](double samples) {
        const auto most = static_cast<std::int64_t>(samples);
        found = std::min(found.value_or(most), most);
    };
    if (const auto available = footprint_ ? memory::available_bytes() : std::nullopt) {
        bound(footprint_->longest(static_cast<double>(*available) * kChunkMemory));
    }
    double seconds = 0;  // of the engine's longest profile
    for (const bundle::Engine& engine : manifest_.engines) {
        if (engine.backend != provider()) continue;
        for (const bundle::Profile& profile : engine.profiles)
            seconds = std::max(seconds, profile.seconds[2]);
    }
    if (seconds > 0) bound(seconds * static_cast<double>(sampling_rate(manifest_.features)));
    return found;
}

std::vector<Outcome> Model::run(const std::vector<Sound>& sounds, std::size_t batch_size,
                                const decoding::Decoder* decoder) const {
    if (batch_size < 1) throw Error(ErrorKind::argument, "batch_size must be at least 1, got 0");
    std::vector<std::optional<Outcome>> outcomes(sounds.size());
    Indices heard;
    for (std::size_t index = 0; index < sounds.size(); ++index) {
        try {
            check(sounds[index]);
            heard.push_back(index);
        } catch (const Error& error) {
            outcomes[index] = error;
        }
    }
    for (const Indices& indices : batches(sounds, heard, batch_size))
        attempt(sounds, indices, decoder, outcomes);
    std::vector<Outcome> answers;
    for (auto& outcome : outcomes) answers.push_back(std::move(*outcome));
    return answers;
}

void Model::check_samples(const features::Clip& clip) {
    if (clip.count == 0) return;
    if (!finite(clip.samples, clip.count)) {
        throw inaudible("holds NaN or infinite samples; expected finite ones");
    }
    const auto [low, high] = std::minmax_element(clip.samples, clip.samples + clip.count);
    if (const float loudest = std::max(-*low, *high); loudest > kLoudest) {
        throw inaudible("holds samples of up to " + scientific(loudest) + "; expected -1 to 1");
    }
}

void Model::check_length(std::size_t samples) const {
    if (samples == 0) throw inaudible("is empty: it holds no samples");
    if (static_cast<std::int64_t>(samples) < manifest_.shortest) {
        const double milliseconds = 1000 * static_cast<double>(manifest_.shortest) /
                                    static_cast<double>(sampling_rate(manifest_.features));
        throw inaudible("is too short: " + std::to_string(samples) + " samples; at least " +
                        text::general(milliseconds) + " ms are needed");
    }
}

void Model::check(const Sound& sound) const {
    const std::size_t count = sound.clip.count;
    if (const auto problem = shortage(1, count)) {
        throw inaudible("is too long: " + *problem +
                        "; hear it in chunks, or cut it into shorter recordings");
    }
    check_samples(sound.clip);
    check_length(count);
    if (sound.time_mask) {
        if (manifest_.head != "pretraining") {
            throw Error(
                ErrorKind::argument,
                "mask_time_indices is for head 'pretraining'; this bundle has head '" + manifest_.head + "'");
        }
        const std::int64_t frames = find(manifest_.frames, "frames")->count(static_cast<std::int64_t>(count));
        if (static_cast<std::int64_t>(sound.time_mask_count) != frames) {
            throw Error(ErrorKind::argument,
                        "mask_time_indices has " + std::to_string(sound.time_mask_count) +
                            " frames, and a clip like this has " + std::to_string(frames));
        }
    }
}

// Longest first, so that memory peaks at once.
std::vector<Model::Indices> Model::batches(const std::vector<Sound>& sounds, Indices indices,
                                           std::size_t batch_size) const {
    const auto length = [&](std::size_t index) { return sounds[index].clip.count; };
    std::stable_sort(indices.begin(), indices.end(), [&](auto a, auto b) { return length(a) > length(b); });
    const auto rate = static_cast<double>(sampling_rate(manifest_.features));
    const bool cpu = provider() == "cpu";
    std::vector<Indices> all;
    std::size_t total = 0;
    for (const std::size_t index : indices) {
        const bool open = !all.empty();
        const std::size_t count = open ? all.back().size() + 1 : 1;
        const std::size_t longest = open ? length(all.back().front()) : length(index);
        if (open && count <= batch_size && pays(count, longest, total + length(index), rate, cpu) &&
            !shortage(count, longest)) {
            all.back().push_back(index);
            total += length(index);
        } else {
            all.push_back({index});
            total = length(index);
        }
    }
    return all;
}

// Answers of a batch; where it fails, of each clip alone.
void Model::attempt(const std::vector<Sound>& sounds, const Indices& indices,
                    const decoding::Decoder* decoder, std::vector<std::optional<Outcome>>& outcomes) const {
    std::string problem;
    try {
        std::vector<Sound> batch;
        for (const std::size_t index : indices) batch.push_back(sounds[index]);
        std::vector<results::Result> found = infer(batch, decoder);
        for (std::size_t row = 0; row < indices.size(); ++row) outcomes[indices[row]] = std::move(found[row]);
        return;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::inference) throw;
        problem = error.what();
    } catch (const decoding::Error& error) {
        problem = error.what();
    } catch (const std::bad_alloc&) {
        problem = "it takes more memory than there is";
    }
    if (indices.size() == 1) {
        outcomes[indices.front()] = Error(ErrorKind::inference, "audio: " + problem);
        return;
    }
    for (const std::size_t index : indices) attempt(sounds, {index}, decoder, outcomes);
}

std::vector<results::Result> Model::infer(const std::vector<Sound>& sounds,
                                          const decoding::Decoder* decoder) const {
    const double rate = static_cast<double>(sampling_rate(manifest_.features));
    std::vector<results::Result> answers;
    std::vector<std::vector<results::Array>> rows = split(sounds);
    for (std::size_t row = 0; row < sounds.size(); ++row) {
        const double duration = static_cast<double>(sounds[row].clip.count) / rate;
        answers.push_back(results::answer(manifest_, std::move(rows[row]), duration, decoder));
    }
    return answers;
}

std::vector<results::Array> Model::outputs(const features::Clip& clip) const {
    return std::move(split({{clip}}).front());
}

// The outputs of each clip.
std::vector<std::vector<results::Array>> Model::split(const std::vector<Sound>& sounds) const {
    const std::vector<sessions::Fetch> fetched = compute(sounds);
    std::vector<std::vector<results::Array>> rows(sounds.size());
    for (std::size_t row = 0; row < sounds.size(); ++row) {
        for (std::size_t index = 0; index < fetched.size(); ++index) {
            rows[row].push_back(cut(fetched[index], manifest_.outputs[index], row, sounds[row].clip.count));
        }
    }
    return rows;
}

std::vector<sessions::Fetch> Model::compute(const std::vector<Sound>& sounds) const {
    std::vector<features::Clip> clips;
    std::size_t longest = 0;
    for (const Sound& sound : sounds) {
        clips.push_back(sound.clip);
        longest = std::max(longest, sound.clip.count);
    }
    if (const auto problem = shortage(clips.size(), longest)) {
        throw Error(ErrorKind::inference, "too much for the memory here: " + *problem);
    }
    const features::Inputs inputs = (*extractor_)(clips, manifest_.padding);
    expect_finite("the features", inputs.values.data(), inputs.values.size());
    std::vector<sessions::Feed> feeds = {
        {manifest_.inputs[0].name, sessions::Element::float32, inputs.values.data(), inputs.shape},
        {manifest_.inputs[1].name,
         sessions::Element::int64,
         inputs.mask.data(),
         {inputs.shape[0], inputs.shape[1]}}};
    std::vector<unsigned char> masks;
    if (manifest_.inputs.size() > 2) {
        std::int64_t frames = 0;
        masks = time_masks(sounds, frames);
        feeds.push_back(
            {manifest_.inputs[2].name, sessions::Element::boolean, masks.data(), {inputs.shape[0], frames}});
    }
    return sessions::run_checked(*session_, manifest_, feeds);
}

std::vector<unsigned char> Model::time_masks(const std::vector<Sound>& sounds, std::int64_t& frames) const {
    const bundle::Frames& axis = *find(manifest_.frames, "frames");
    for (const Sound& sound : sounds) {
        frames = std::max(frames, axis.count(static_cast<std::int64_t>(sound.clip.count)));
    }
    std::vector<unsigned char> masks(sounds.size() * static_cast<std::size_t>(frames));
    for (std::size_t row = 0; row < sounds.size(); ++row) {
        for (std::size_t frame = 0; sounds[row].time_mask && frame < sounds[row].time_mask_count; ++frame) {
            masks[row * static_cast<std::size_t>(frames) + frame] = sounds[row].time_mask[frame] != 0;
        }
    }
    return masks;
}

// The output of one clip of a batch, cut to its valid frames.
results::Array Model::cut(const sessions::Fetch& fetch, const bundle::Tensor& tensor, std::size_t row,
                          std::size_t samples) const {
    const auto size = [&](std::size_t axis) { return static_cast<std::size_t>(fetch.shape[axis]); };
    const std::size_t rank = fetch.shape.size();
    results::Array array{tensor.name, {}, 1, rank < 2 ? 1 : size(rank - 1)};
    std::size_t stride = rank == 0 ? 0 : array.columns;  // what has no batch axis is of the batch as a whole
    if (rank == 3) {
        const bundle::Frames& frames = *find(manifest_.frames, std::get<std::string>(tensor.shape[1]));
        array.rows = static_cast<std::size_t>(frames.count(static_cast<std::int64_t>(samples)));
        if (size(1) < array.rows) {
            throw Error(ErrorKind::inference, tensor.name + " has " + std::to_string(size(1)) +
                                                  " frames, and a clip like this has " +
                                                  std::to_string(array.rows));
        }
        stride *= size(1);
    }
    const float* first = fetch.values + row * stride;
    array.values.assign(first, first + array.rows * array.columns);
    expect_finite(tensor.name + " of provider '" + provider() + "'", array.values.data(),
                  array.values.size());
    return array;
}

std::optional<std::string> Model::shortage(std::size_t batch, std::size_t samples) const {
    if (!footprint_) return std::nullopt;
    return footprint_->shortage(batch, samples, sampling_rate(manifest_.features));
}

}  // namespace w2vc
