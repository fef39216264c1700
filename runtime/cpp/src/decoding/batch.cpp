#include "decoding/batch.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

namespace w2vc::decoding {

std::vector<std::vector<Hypothesis>> decode_batch(const Decoder& decoder, const std::vector<Logits>& clips,
                                                  std::size_t threads) {
    std::vector<std::vector<Hypothesis>> readings(clips.size());
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::exception_ptr error;
    const auto work = [&] {
        for (std::size_t index = next++; index < clips.size(); index = next++) {
            try {
                readings[index] = decoder.decode(clips[index]);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(mutex);
                error = error ? error : std::current_exception();
            }
        }
    };
    const std::size_t cores = threads != 0 ? threads : std::max(1U, std::thread::hardware_concurrency());
    std::vector<std::thread> workers;
    try {
        while (workers.size() + 1 < std::min(cores, clips.size())) {
            workers.emplace_back(work);
        }
    } catch (const std::system_error&) {
        // No more threads are to be had: those that there are do the work.
    }
    work();
    for (auto& worker : workers) {
        worker.join();
    }
    if (error) {
        std::rethrow_exception(error);
    }
    return readings;
}

}  // namespace w2vc::decoding
