package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Labels of a row beside the tokens of its text. */
class LabelColumnsTest {
  private static final List<String> NAMES = List.of("O", "B", "I");

  private static Example read(LabelColumns columns, TextEncoder encoder, String text, String... f) {
    return columns.reader(encoder).read(text, List.of(f), () -> "row 7: ");
  }

  /** Two letters a token; a space belongs to the word behind it, where {@code spaced}. */
  private static TextEncoder pieces(boolean spaced) {
    return text ->
        Arrays.stream(text.split(spaced ? "(?= )" : " +"))
            .flatMap(word -> Arrays.stream(word.split("(?<=\\G..)")))
            .mapToInt(String::hashCode)
            .toArray();
  }

  @Test
  void theFirstTokenOfEachWordCarriesItsClass() {
    var tags = new LabelColumns.Tags("tags", NAMES);
    for (boolean spaced : new boolean[] {false, true}) {
      Example example = read(tags, pieces(spaced), "Ada saw  Paris", "B O B");
      int[] ids = ((Label.Tags) example.label()).ids();
      if (!spaced) {
        assertThat(ids).containsExactly(1, -1, 0, -1, 1, -1, -1);
        assertThat(example.tokens()).isEqualTo(pieces(false).encode("Ada saw Paris"));
      }
      assertThat(Arrays.stream(ids).filter(id -> id >= 0)).containsExactly(1, 0, 1);
    }
    Example spaced = read(tags, pieces(true), "Ada saw", "B O");
    assertThat(spaced.tokens()).isEqualTo(pieces(true).encode("Ada saw"));
    assertThat(((Label.Tags) spaced.label()).ids()).containsExactly(1, -1, 0, -1);
  }

  @Test
  void lettersHaveAClassEach() {
    var tags = new LabelColumns.Tags("tags", NAMES);
    TextEncoder letters = Tokenizer.named("google-protein").encoder();
    for (String classes : List.of("BIO", "B I O")) {
      Example example = read(tags, letters, "MKT", classes);
      assertThat(((Label.Tags) example.label()).ids()).containsExactly(1, 2, 0);
    }
    Example gap = read(tags, letters, "M-T", "BIO"); // the tokenizer leaves it out
    assertThat(((Label.Tags) gap.label()).ids()).containsExactly(1, 0);
    assertThatThrownBy(() -> read(tags, letters, "MKT", "B I"))
        .hasMessage(
            "row 7: 2 classes, but the text has 1 word of 3 letters; expected one for each");
  }

  @Test
  void cropsKeepClassesWithTheirTokens() {
    int[] tokens = {10, 11, 12, 13, 14, 15};
    int[] tags = {0, 1, 2, 0, 1, 2};
    ExampleSource source =
        ExampleSource.of("tags", List.of(new Example(tokens, new Label.Tags(tags))));
    Vocabulary vocabulary =
        Vocabulary.of(Vocabulary.numbered("", "", 20).toList(), null, null, "1", "2", null);
    for (int seed = 0; seed < 20; seed++) {
      var batching = new Batching(4, new BatchSize.Sequences(1), 4, true, true, true, true, 8);
      TokenBatch batch = new ExampleBatches(source, vocabulary, batching, seed).epoch(0).next();
      for (int i = 0; i < 4; i++) {
        int token = batch.tokens()[i];
        assertThat(batch.tags()[i]).isEqualTo(token < 10 ? -1 : tags[token - 10]);
      }
    }
  }

  @Test
  void severalLabelsOfARow() {
    TextEncoder any = text -> new int[1];
    var sets = new LabelColumns.Sets("sets", "|", List.of("a", "b", "c"));
    assertThat(values(read(sets, any, "", " c | a"))).containsExactly(1, 0, 1);
    assertThat(values(read(sets, any, "", ""))).containsExactly(0, 0, 0);
    assertThatThrownBy(() -> read(sets, any, "", "d"))
        .hasMessage("row 7: class 'd' is not among the 3 known");
    var flags = new LabelColumns.Flags(List.of("x", "y", "z"));
    assertThat(values(read(flags, any, "", "1.0", "False", ""))).containsExactly(1, 0, Float.NaN);
    assertThatThrownBy(() -> read(flags, any, "", "1", "2", "0"))
        .hasMessage("row 7: column 'y' is '2'; expected 0 or 1");
    var numbers = new LabelColumns.Numbers(List.of("x", "y"));
    assertThat(values(read(numbers, any, "", "-1e3", " "))).containsExactly(-1000, Float.NaN);
    assertThatThrownBy(() -> read(numbers, any, "", "NaN", "1"))
        .hasMessage("row 7: label 'NaN' is not a finite number");
  }

  private static float[] values(Example example) {
    return ((Label.Values) example.label()).values();
  }
}
