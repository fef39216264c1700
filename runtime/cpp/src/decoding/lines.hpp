// Lines of a file, plain or gzip, or of a text in memory.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace w2vc::decoding {

class Lines {
  public:
    virtual ~Lines() = default;

    // The next line without its end, valid until the next call; false at the end. Throws Error when reading
    // fails.
    bool next(std::string_view& line);

    // Number of the last line, from 1.
    std::size_t number() const { return number_; }

  protected:
    // Fills `target` with up to `size` bytes; 0 at the end.
    virtual std::size_t read(char* target, std::size_t size) = 0;

  private:
    std::vector<char> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t number_ = 0;
    bool finished_ = false;
};

std::unique_ptr<Lines> open_lines(const std::string& path);
std::unique_ptr<Lines> lines_of(std::string_view text);

}  // namespace w2vc::decoding
