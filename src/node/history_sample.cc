#include "node/history_sample.h"

#include <array>
#include <charconv>

#include "node/figures.h"

namespace tessera::node {
namespace {

template <typename Number>
void append_number(std::string& text, Number number) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  text.append(digits.data(), end);
}

// Takes words and numbers off the front of a text.
class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}

  // Up to `end`, which is taken, too; nothing where it does not come.
  std::optional<std::string_view> until(char end) {
    const size_t place = text_.find(end);
    if (place == std::string_view::npos) return std::nullopt;
    const std::string_view word = text_.substr(0, place);
    text_.remove_prefix(place + 1);
    return word;
  }
  template <typename Number>
  std::optional<Number> number() {
    Number number{};
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), number);
    if (error != std::errc()) return std::nullopt;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    if (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
    return number;
  }
  bool empty() const { return text_.empty(); }

 private:
  std::string_view text_;
};

constexpr std::string_view kNone = "-";

template <typename Number>
void append_optional(std::string& text, const std::optional<Number>& number) {
  if (number) {
    append_number(text, *number);
  } else {
    text += kNone;
  }
  text += ' ';
}

template <typename Number>
std::optional<Number> whole_number(std::string_view word) {
  Number number{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

// False where it is neither a number nor none.
template <typename Number>
bool read_optional(std::string_view word, std::optional<Number>& number) {
  if (word != kNone) number = whole_number<Number>(word);
  return number || word == kNone;
}

}  // namespace

void append_sample_line(std::string& text, uint64_t time_ms, std::optional<uint64_t> age_ms,
                        const monitoring::Subject& subject, const std::vector<monitoring::Figure>& figures) {
  append_number(text, time_ms);
  text += ' ';
  append_optional(text, age_ms);
  append_optional(text, subject.gpu);
  text += subject.slice;
  char before = '\t';
  for (const monitoring::Figure& figure : figures) {
    text += before;
    append_number(text, figure_index(figure.name));
    text += ' ';
    append_number(text, figure.value);
    before = ' ';
  }
  text += '\n';
}

std::optional<SampleLine> parse_sample_line(std::string_view line) {
  Words words(line);
  SampleLine sample;
  const auto time = words.until(' '), age = words.until(' '), gpu = words.until(' '),
             slice = words.until('\t');
  if (!time || !age || !gpu || !slice) return std::nullopt;
  const auto time_ms = whole_number<uint64_t>(*time);
  if (!time_ms) return std::nullopt;
  sample.time_ms = *time_ms;
  sample.subject.slice = *slice;
  if (!read_optional(*age, sample.age_ms) || !read_optional(*gpu, sample.subject.gpu)) return std::nullopt;
  while (!words.empty()) {
    const auto place = words.number<size_t>();
    const auto value = place ? words.number<double>() : std::nullopt;
    if (!value) return std::nullopt;
    if (*place >= all_figures().size()) continue;
    const monitoring::Metric& metric = *all_figures()[*place];
    sample.figures.push_back({short_name(metric), *value, metric.type == monitoring::MetricType::kCounter});
  }
  return sample;
}

}  // namespace tessera::node
