package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.data.LetterTokenizer.ResidueEncoder;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class ResidueEncoderTest {
  @Test
  void googlesVocabularyHasGooglesIds() {
    Vocabulary vocabulary = ProteinVocabulary.google();
    assertThat(vocabulary.size()).isEqualTo(29);
    assertThat(new ResidueEncoder(vocabulary).encode("ACDEFGHIKLMNPQRSTVWYBOUXZ"))
        .containsExactly(IntStream.range(0, 25).toArray());
    assertThat(vocabulary.bos()).hasValue(25);
    assertThat(vocabulary.eos()).hasValue(26);
    assertThat(vocabulary.pad()).hasValue(27);
    assertThat(vocabulary.mask()).hasValue(28);
    assertThat(vocabulary.decode(new int[] {25, 0, 19, 26, 27, 28})).isEqualTo("<AY>_*");
    assertThat(vocabulary.ordinaryIds()).hasSize(25).doesNotContain(25, 26, 27, 28);
  }

  @Test
  void padFirstVocabularyHasTheAminoAcidsFromTwoOn() {
    Vocabulary vocabulary = ProteinVocabulary.padFirst();
    assertThat(vocabulary.size()).isEqualTo(26);
    assertThat(vocabulary.pad()).hasValue(0);
    assertThat(new ResidueEncoder(vocabulary).encode("ACWY")).containsExactly(2, 3, 20, 21);
  }

  @Test
  void readsLowerCaseReplacesUnknownAndDropsGaps() {
    ResidueEncoder encoder = new ResidueEncoder(ProteinVocabulary.google());
    assertThat(encoder.report()).isEmpty();
    assertThat(encoder.encode("aC-j.J7*<_>é")).containsExactly(0, 1, 23, 23, 23, 23, 23, 23, 23);
    assertThat(encoder.unknown())
        .isEqualTo(Map.of('j', 1L, 'J', 1L, '7', 1L, '<', 1L, '_', 1L, '>', 1L, 'é', 1L));
    assertThat(encoder.dropped()).isEqualTo(Map.of('-', 1L, '.', 1L, '*', 1L));
    assertThat(encoder.report().orElseThrow()).contains("'J' × 1").contains("'-' × 1");
  }

  @Test
  void leavesUnknownLettersOutWhereThereIsNoTokenForThem() {
    Vocabulary vocabulary = Vocabulary.of(List.of("a", "b"), null, null, null, null, null);
    ResidueEncoder encoder = new ResidueEncoder(vocabulary);
    assertThat(encoder.encode("abAc")).containsExactly(0, 1);
    assertThat(encoder.dropped()).isEqualTo(Map.of('A', 1L, 'c', 1L));
  }

  @Property(tries = 300)
  void neverFailsAndNeverWritesASpecialToken(@ForAll String anything) {
    Vocabulary vocabulary = ProteinVocabulary.google();
    ResidueEncoder encoder = new ResidueEncoder(vocabulary);
    int[] ids = encoder.encode(anything);
    assertThat(ids.length).isLessThanOrEqualTo(anything.length());
    assertThat(Arrays.stream(ids).boxed())
        .allMatch(id -> id >= 0 && id < vocabulary.size() && !vocabulary.isSpecial(id));
  }

  @Test
  void refusesVocabulariesThatMakeNoSense() {
    assertThatThrownBy(() -> Vocabulary.of(List.of("A", "A"), null, null, null, null, null))
        .isInstanceOf(IllegalArgumentException.class);
    OptionalInt none = OptionalInt.empty();
    assertThatThrownBy(
            () -> new Vocabulary(List.of("A"), OptionalInt.of(1), none, none, none, none))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
