#include "kenlm.hpp"

namespace nb = nanobind;

namespace w2vc::decoding {

KenlmModel::KenlmModel(nb::object model)
    : model_(std::move(model)), make_state_(nb::module_::import_("kenlm").attr("State")) {
    order_ = nb::cast<std::size_t>(model_.attr("order"));
    words_.append("");  // the unknown word, as BaseScore is asked for it
    end_ = find("</s>");
    nb::object state = make_state_();
    model_.attr("BeginSentenceWrite")(state);
    begin_ = keep(state);
    state = make_state_();
    model_.attr("NullContextWrite")(state);
    empty_ = keep(state);
}

std::uint32_t KenlmModel::find(std::string_view word) const {
    const nb::gil_scoped_acquire held;
    const auto found = ids_.find(std::string(word));
    if (found != ids_.end()) {
        return found->second;
    }
    const nb::str text(word.data(), word.size());
    std::uint32_t id = 0;
    if (nb::cast<bool>(model_.attr("__contains__")(text))) {
        id = static_cast<std::uint32_t>(nb::len(words_));
        words_.append(text);
    }
    return ids_.emplace(word, id).first->second;
}

float KenlmModel::score(LanguageState state, std::uint32_t word, LanguageState& next) const {
    const nb::gil_scoped_acquire held;
    nb::object after = make_state_();
    const auto score = nb::cast<double>(model_.attr("BaseScore")(states_[state], words_[word], after));
    next = keep(std::move(after));
    return static_cast<float>(score);
}

LanguageState KenlmModel::keep(nb::object state) const {
    if (!known_.contains(state)) {
        known_[state] = nb::len(states_);
        states_.append(state);
    }
    return nb::cast<LanguageState>(known_[state]);
}

}  // namespace w2vc::decoding
