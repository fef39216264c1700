// A service in small: service BUNDLE THREADS < PATHS
//
// Reads paths of recordings of any length, one a line, and answers each with a line of JSON as soon as it is
// done: the path, and the result or the error. Several threads share one model; each run computes on one
// thread, so that they do not wait for each other.
#include <iostream>
#include <mutex>
#include <thread>
#include <w2vc/w2vc.hpp>

#include "wav.hpp"

namespace {

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char each : text) {
        if (each == '"' || each == '\\') out += '\\';
        out += static_cast<unsigned char>(each) < ' ' ? ' ' : each;
    }
    return out + "\"";
}

std::string answer(const w2vc::Model& model, const std::string& path) {
    try {
        return "\"result\": " + model.run_chunked(read_wav(path, model.sample_rate())).json();
    } catch (const std::exception& error) {
        return "\"error\": " + quoted(error.what());
    }
}

void serve(const w2vc::Model& model, std::mutex& input, std::mutex& output) {
    while (true) {
        std::string path;
        {
            const std::lock_guard<std::mutex> lock(input);
            if (!std::getline(std::cin, path)) return;
        }
        const std::string line = "{\"file\": " + quoted(path) + ", " + answer(model, path) + "}\n";
        const std::lock_guard<std::mutex> lock(output);
        std::cout << line << std::flush;
    }
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 3) {
        std::cerr << "usage: service BUNDLE THREADS < PATHS\n";
        return 2;
    }
    w2vc::Options options;
    options.threads = 1;
    const w2vc::Model model(argv[1], options);
    std::mutex input, output;
    std::vector<std::thread> threads;
    for (int count = std::stoi(argv[2]); count > 0; --count) {
        threads.emplace_back([&] { serve(model, input, output); });
    }
    for (std::thread& thread : threads) thread.join();
    return 0;
} catch (const std::exception& error) {
    std::cerr << "service: " << error.what() << "\n";
    return 2;
}
