#include "api/stream.hpp"

#include <utility>
#include <vector>

namespace w2vc {

Stream::Stream(const Model& model, const decoding::Decoder* decoder, const chunking::Options& options)
    : model_(model),
      rate_(static_cast<double>(sampling_rate(model.manifest().features))),
      chunker_(chunking::plan_for(model.manifest(), options, model.longest())),
      collector_(chunking::collector_for(model.manifest(), options.pooled, model.decoder(decoder))) {}

void Stream::push(const features::Clip& samples) {
    expect_open();
    Model::check_samples(samples);
    attempt([&] {
        chunker_.push(samples.samples, samples.count, [&](const chunking::Chunk& chunk) { add(chunk); });
    });
}

std::optional<results::Result> Stream::read() {
    if (state_ == State::failed) expect_open();
    if (heard_ == 0) return std::nullopt;
    return collector_->result(heard_);
}

results::Result Stream::end() {
    expect_open();
    model_.check_length(static_cast<std::size_t>(chunker_.received()));
    attempt([&] { chunker_.end([&](const chunking::Chunk& chunk) { add(chunk); }); });
    state_ = State::ended;
    return collector_->result(heard_);
}

void Stream::expect_open() const {
    if (state_ == State::open) return;
    throw Error(ErrorKind::argument, state_ == State::ended
                                         ? "the stream has ended; open another for the next recording"
                                         : "the stream has failed before; open another");
}

// What throws in the middle of a recording leaves a hole in it.
template <typename Work>
void Stream::attempt(const Work& work) {
    state_ = State::failed;
    work();
    state_ = State::open;
}

void Stream::add(const chunking::Chunk& chunk) {
    std::vector<results::Array> outputs = model_.outputs({chunk.samples.data(), chunk.samples.size()});
    chunk.cut(outputs, model_.manifest());
    const double start = static_cast<double>(chunk.first) / rate_,
                 end = static_cast<double>(chunk.last) / rate_;
    collector_->add(std::move(outputs), start, end);
    heard_ = end;
}

}  // namespace w2vc
