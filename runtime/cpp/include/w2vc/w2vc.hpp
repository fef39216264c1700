// w2vc for C++11 and later: handles that free themselves and errors that are thrown, over w2vc.h, which says
// what each call does. Header only. Move-only objects; const ones may be used by any number of threads at
// once.
#ifndef W2VC_HPP
#define W2VC_HPP

#include <w2vc/w2vc.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace w2vc {
// The library has classes of the same names inside; those of a static one must not meet these.
inline namespace v0 {

// What a call failed with: one line that says what would be right.
class Error : public std::runtime_error {
  public:
    explicit Error(const w2vc_error& error) : std::runtime_error(error.message), status_(error.status) {}
    w2vc_status status() const noexcept { return status_; }

  private:
    w2vc_status status_;
};

struct Options {
    std::string provider, precision, onnxruntime;  // empty: as by default
    int threads = 0;
};

struct BeamOptions {
    BeamOptions() : values(W2VC_BEAM_OPTIONS_INIT) {}
    w2vc_beam_options values;    // but for the language model's path and the hotwords, which are here
    std::string language_model;  // empty: as values has it, which is that of the bundle, if any
    std::vector<std::pair<std::string, double>> hotwords;
};

struct Span {
    std::string text;
    double start, end, confidence;
};

struct Reading {
    std::string text;
    double score, acoustic_score, language_score;
};

struct Score {
    std::string label;
    double score;
    bool holds;
};

namespace detail {

inline void check(w2vc_status status, const w2vc_error& error) {
    if (status != W2VC_OK) throw Error(error);
}

inline const char* or_null(const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
}

}  // namespace detail

struct Window;

class Result {
  public:
    // Owns it.
    explicit Result(w2vc_result* handle) : handle_(handle, Free{true}) {}
    // Shows one that belongs to another.
    explicit Result(const w2vc_result* part) : handle_(part, Free{false}) {}

    const w2vc_result* get() const { return handle_.get(); }
    w2vc_head head() const { return w2vc_result_head(get()); }
    double duration() const { return w2vc_result_duration(get()); }
    double frame_seconds() const { return w2vc_result_frame_seconds(get()); }
    std::string text() const { return w2vc_result_text(get()); }
    std::vector<Span> words(std::size_t reading = 0) const { return spans(W2VC_WORDS, reading); }
    std::vector<Span> tokens(std::size_t reading = 0) const { return spans(W2VC_TOKENS, reading); }
    std::vector<Span> segments() const { return spans(W2VC_SEGMENTS, 0); }

    std::vector<Reading> readings() const {
        std::vector<Reading> found;
        w2vc_reading each;
        while (w2vc_result_reading(get(), found.size(), &each) == W2VC_OK) {
            found.push_back({each.text, each.score, each.acoustic_score, each.language_score});
        }
        return found;
    }

    std::vector<Score> scores() const {
        std::vector<Score> found;
        w2vc_score each;
        while (w2vc_result_score(get(), found.size(), &each) == W2VC_OK) {
            found.push_back({each.label, each.score, each.holds != 0});
        }
        return found;
    }

    // The answers for the parts of audio in chunks, of heads that have no other; they live as long as this.
    std::vector<Window> windows() const;

    // What the graph gave; it lives as long as this. Without values where there is none of that name.
    w2vc_array array(const std::string& name) const {
        w2vc_array found = {nullptr, nullptr, 0, 0};
        w2vc_result_find_array(get(), name.c_str(), &found);
        return found;
    }

    std::string json() const {
        const char* text = nullptr;
        w2vc_error error;
        detail::check(w2vc_result_json(get(), &text, &error), error);
        return text;
    }

  private:
    struct Free {
        bool owned;
        void operator()(const w2vc_result* result) const {
            if (owned) w2vc_result_free(const_cast<w2vc_result*>(result));
        }
    };

    std::vector<Span> spans(w2vc_span_kind kind, std::size_t reading) const {
        std::vector<Span> found;
        w2vc_span each;
        while (w2vc_result_span(get(), kind, reading, found.size(), &each) == W2VC_OK) {
            found.push_back({each.text, each.start, each.end, each.confidence});
        }
        return found;
    }

    std::unique_ptr<const w2vc_result, Free> handle_;
};

// An answer for a part of audio, in seconds; its own times count from start.
struct Window {
    double start, end;
    Result result;
};

inline std::vector<Window> Result::windows() const {
    std::vector<Window> found;
    w2vc_window each;
    while (w2vc_result_window(get(), found.size(), &each) == W2VC_OK) {
        found.push_back({each.start, each.end, Result(each.result)});
    }
    return found;
}

class Decoder;

// How audio of any length is cut; see w2vc_chunk_options.
struct ChunkOptions {
    double chunk_seconds = 0, context_seconds = -1;
    bool pooled = false;
};

class Model {
  public:
    explicit Model(const std::string& bundle, const Options& options = Options()) {
        const w2vc_options taken = {sizeof(w2vc_options), detail::or_null(options.provider),
                                    detail::or_null(options.precision), detail::or_null(options.onnxruntime),
                                    options.threads};
        w2vc_model* handle = nullptr;
        w2vc_error error;
        detail::check(w2vc_model_load(bundle.c_str(), &taken, &handle, &error), error);
        handle_.reset(handle);
    }

    const w2vc_model* get() const { return handle_.get(); }
    w2vc_head head() const { return w2vc_model_head(get()); }
    std::string name() const { return w2vc_model_name(get()); }
    std::string provider() const { return w2vc_model_provider(get()); }
    unsigned sample_rate() const { return w2vc_model_sample_rate(get()); }

    // The answer for one clip. decoder: null for greedy.
    Result run(const float* samples, std::size_t count, const Decoder* decoder = nullptr) const;
    Result run(const std::vector<float>& samples, const Decoder* decoder = nullptr) const {
        return run(samples.data(), samples.size(), decoder);
    }

    // The answer for audio of any length, heard in chunks.
    Result run_chunked(const std::vector<float>& samples, const ChunkOptions& options = ChunkOptions(),
                       const Decoder* decoder = nullptr) const;

    // Where a known text is said in a clip: a result with one reading.
    Result align(const std::vector<float>& samples, const std::string& text) const {
        w2vc_result* result = nullptr;
        w2vc_error error;
        detail::check(w2vc_align(get(), samples.data(), samples.size(), text.c_str(), &result, &error),
                      error);
        return Result(result);
    }

    // Answers for clips of any lengths, in their order. Throws the error of the first clip that has none.
    std::vector<Result> run_batch(const std::vector<std::vector<float>>& clips, std::size_t batch_size = 0,
                                  const Decoder* decoder = nullptr) const;

  private:
    struct Free {
        void operator()(w2vc_model* model) const { w2vc_model_free(model); }
    };
    std::unique_ptr<w2vc_model, Free> handle_;
};

// Beam search for a CTC model, which must outlive it.
class Decoder {
  public:
    explicit Decoder(const Model& model, const BeamOptions& options = BeamOptions()) {
        w2vc_beam_options taken = options.values;
        std::vector<w2vc_hotword> hotwords;
        for (const auto& each : options.hotwords) hotwords.push_back({each.first.c_str(), each.second});
        if (!options.language_model.empty()) taken.language_model = options.language_model.c_str();
        taken.hotwords = hotwords.data();
        taken.hotword_count = hotwords.size();
        w2vc_decoder* handle = nullptr;
        w2vc_error error;
        detail::check(w2vc_decoder_beam(model.get(), &taken, &handle, &error), error);
        handle_.reset(handle);
    }

    const w2vc_decoder* get() const { return handle_.get(); }

  private:
    struct Free {
        void operator()(w2vc_decoder* decoder) const { w2vc_decoder_free(decoder); }
    };
    std::unique_ptr<w2vc_decoder, Free> handle_;
};

// Audio that comes in, of any length. Model and decoder must outlive it. For one thread at a time.
class Stream {
  public:
    explicit Stream(const Model& model, const ChunkOptions& options = ChunkOptions(),
                    const Decoder* decoder = nullptr) {
        const w2vc_chunk_options taken = {sizeof(w2vc_chunk_options), options.chunk_seconds,
                                          options.context_seconds, options.pooled};
        w2vc_stream* handle = nullptr;
        w2vc_error error;
        detail::check(
            w2vc_stream_open(model.get(), decoder ? decoder->get() : nullptr, &taken, &handle, &error),
            error);
        handle_.reset(handle);
    }

    void push(const float* samples, std::size_t count) {
        w2vc_error error;
        detail::check(w2vc_stream_push(handle_.get(), samples, count, &error), error);
    }
    void push(const std::vector<float>& samples) { push(samples.data(), samples.size()); }

    // The answer for the chunks so far; without parts before the first, as an empty text.
    Result read() {
        w2vc_result* result = nullptr;
        w2vc_error error;
        detail::check(w2vc_stream_read(handle_.get(), &result, &error), error);
        return Result(result);
    }

    // The answer for all; nothing can be pushed after it.
    Result end() {
        w2vc_result* result = nullptr;
        w2vc_error error;
        detail::check(w2vc_stream_end(handle_.get(), &result, &error), error);
        return Result(result);
    }

  private:
    struct Free {
        void operator()(w2vc_stream* stream) const { w2vc_stream_free(stream); }
    };
    std::unique_ptr<w2vc_stream, Free> handle_;
};

inline Result Model::run_chunked(const std::vector<float>& samples, const ChunkOptions& options,
                                 const Decoder* decoder) const {
    Stream stream(*this, options, decoder);
    stream.push(samples);
    return stream.end();
}

inline Result Model::run(const float* samples, std::size_t count, const Decoder* decoder) const {
    w2vc_result* result = nullptr;
    w2vc_error error;
    detail::check(w2vc_run(get(), decoder ? decoder->get() : nullptr, samples, count, &result, &error),
                  error);
    return Result(result);
}

inline std::vector<Result> Model::run_batch(const std::vector<std::vector<float>>& clips,
                                            std::size_t batch_size, const Decoder* decoder) const {
    std::vector<w2vc_clip> taken;
    for (const auto& clip : clips) taken.push_back({clip.data(), clip.size(), nullptr, 0});
    std::vector<w2vc_result*> results(clips.size());
    std::vector<w2vc_error> errors(clips.size());
    std::vector<Result> answers;
    answers.reserve(clips.size());
    w2vc_error error;
    detail::check(w2vc_run_batch(get(), decoder ? decoder->get() : nullptr, taken.data(), taken.size(),
                                 batch_size, results.data(), errors.data(), &error),
                  error);
    for (w2vc_result* result : results) answers.emplace_back(result);
    for (const w2vc_error& each : errors) detail::check(each.status, each);
    return answers;
}

}  // namespace v0
}  // namespace w2vc

#endif  // W2VC_HPP
