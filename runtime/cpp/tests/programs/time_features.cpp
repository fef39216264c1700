// Milliseconds that the features of a clip take: w2vc_time_features BUNDLE SAMPLES COUNT. For
// benchmarks/native.py.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "bundle/manifest.hpp"
#include "features/features.hpp"
#include "support/files.hpp"

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    using Clock = std::chrono::steady_clock;
    const auto manifest = w2vc::bundle::Manifest::read(argv[1]);
    const w2vc::files::Mapped file(argv[2]);
    std::vector<float> samples(file.content().size() / sizeof(float));
    std::memcpy(samples.data(), file.content().data(), samples.size() * sizeof(float));
    const auto extractor = w2vc::features::make_extractor(manifest.features);
    const std::vector<w2vc::features::Clip> clips = {{samples.data(), samples.size()}};
    const int count = std::stoi(argv[3]);
    std::size_t values = (*extractor)(clips, manifest.padding).values.size();
    const auto start = Clock::now();
    for (int turn = 0; turn < count; ++turn) values += (*extractor)(clips, manifest.padding).values.size();
    const std::chrono::duration<double, std::milli> taken = Clock::now() - start;
    std::printf("%.6f\n", taken.count() / count);
    return values ? 0 : 1;
}
