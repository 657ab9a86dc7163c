// conformance BUNDLE [GOLDEN [ANSWERS]]: finds the `entities` of golden.json from its pieces and their offsets, prints
// how many, and exits with 1 unless it finds all of them and no others. It writes [start, end, type] of each to ANSWERS.

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>

#include "tagger.hpp"

// As much of JSON as these files need: number() reads integers, and \u escapes are kept as they are.
struct Json {
  std::string text;
  std::vector<Json> items;
  std::map<std::string, Json> values;
  std::int64_t number() const { return std::strtoll(text.c_str(), nullptr, 10); }
};

Json parse(const std::string& source, std::size_t& at) {
  const auto skip = [&](const char* those) { at = std::min(source.find_first_not_of(those, at), source.size()); };
  const auto string = [&] {
    std::string text;
    for (++at; source.at(at) != '"'; ++at) {
      if (source[at] == '\\') text += source[at++];
      text += source.at(at);
    }
    ++at;
    return text;
  };
  Json value;
  skip(" \n\r\t");
  if (source.at(at) == '"') {
    value.text = string();
  } else if (source[at] == '[' || source[at] == '{') {
    const bool named = source[at++] == '{';
    for (skip(" \n\r\t,"); source.at(at) != (named ? '}' : ']'); skip(" \n\r\t,")) {
      if (!named) {
        value.items.push_back(parse(source, at));
        continue;
      }
      const std::string name = string();
      skip(" \n\r\t:");
      value.values[name] = parse(source, at);
    }
    ++at;
  } else {
    const std::size_t end = std::min(source.find_first_of(",]} \n\r\t", at), source.size());
    value.text = source.substr(at, end - at);
    at = end;
  }
  return value;
}

Json read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::size_t at = 0;
  return parse({std::istreambuf_iterator<char>(file), {}}, at);
}

int main(int count, char** arguments) try {
  const std::vector<std::string> paths(arguments + 1, arguments + count);
  const std::string bundle = paths.at(0);
  const Json names = read(bundle + "/config.json").values.at("id2label");
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < names.values.size(); ++i) labels.push_back(names.values.at(std::to_string(i)).text);
  const fpplm::Tagger tagger(bundle + "/onnx/model.onnx", labels);

  std::set<std::string> wanted, found;
  std::string answers;
  int number = 0;
  for (const Json& row : read(paths.size() > 1 ? paths[1] : bundle + "/golden.json").items) {
    std::vector<std::int64_t> ids;
    for (const Json& id : row.values.at("input_ids").items) ids.push_back(id.number());
    std::vector<fpplm::Range> ranges;
    for (const Json& range : row.values.at("offsets").items)
      ranges.emplace_back(range.items.at(0).number(), range.items.at(1).number());
    const std::string sentence = std::to_string(number++) + ": ";
    const auto name = [](const std::string& start, const std::string& end, const std::string& type) {
      return "[" + start + ", " + end + ", \"" + type + "\"]";
    };
    for (const Json& entity : row.values.at("entities").items)
      wanted.insert(sentence + name(entity.items.at(0).text, entity.items.at(1).text, entity.items.at(2).text));
    answers += answers.empty() ? "[[" : ", [";
    std::string comma;
    for (const fpplm::Entity& entity : tagger.tag(ids, ranges)) {
      const std::string one = name(std::to_string(entity.start), std::to_string(entity.end), entity.type);
      found.insert(sentence + one);
      answers += comma + one;
      comma = ", ";
    }
    answers += "]";
  }
  if (paths.size() > 2) std::ofstream(paths[2]) << answers << "]";
  std::size_t equal = 0;
  for (const std::string& one : wanted) equal += found.count(one);
  std::cout << equal << " of " << wanted.size() << " spans equal, " << found.size() - equal << " others found\n";
  return wanted == found ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "conformance: " << error.what() << "\n";
  return 2;
}
