package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class TokenizersTest {
  private static final JsonTokenizer BPE =
      JsonTokenizer.read(Path.of("src/test/resources/tokenizers/bpe/tokenizer.json"));

  @Property(tries = 500)
  void bytesGoRoundAndStream(@ForAll String text, @ForAll @IntRange(max = 256) int offset) {
    ByteTokenizer bytes = new ByteTokenizer(offset);
    requireRound(bytes, text);
    int[] ids = bytes.encoder().encode(text);
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    assertThat(ids)
        .isEqualTo(IntStream.range(0, utf8.length).map(i -> (utf8[i] & 0xff) + offset).toArray());
  }

  @Property(tries = 500)
  void byteLevelBpeGoesRoundAndStreams(@ForAll String text) {
    // The one special token writes nothing when it is decoded.
    requireRound(BPE, text.replace("<|endoftext|>", ""));
  }

  private static void requireRound(Tokenizer tokenizer, String text) {
    int[] ids = tokenizer.encoder().encode(text);
    String whole = new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
    String expected = tokenizer instanceof JsonTokenizer ? sound(text) : whole;
    assertThat(tokenizer.decode(ids)).isEqualTo(expected);
    TextStream stream = new TextStream(tokenizer, new int[0]);
    StringBuilder streamed = new StringBuilder();
    for (int id : ids) {
      String part = stream.add(id);
      assertThat(part.isEmpty() || !Character.isHighSurrogate(part.charAt(part.length() - 1)))
          .isTrue();
      streamed.append(part);
    }
    assertThat(streamed.append(stream.rest()).toString()).isEqualTo(expected);
  }

  private static String sound(String text) {
    StringBuilder sound = new StringBuilder();
    text.codePoints().forEach(c -> sound.appendCodePoint(c < 0xD800 || c > 0xDFFF ? c : 0xFFFD));
    return sound.toString();
  }

  @Test
  void bytesStateTheirMapping() {
    ByteTokenizer byt5 = ByteTokenizer.named("bytes");
    assertThat(byt5.size()).isEqualTo(259);
    assertThat(byt5.vocabulary().pad()).hasValue(0);
    assertThat(byt5.vocabulary().eos()).hasValue(1);
    assertThat(byt5.vocabulary().mask()).isEmpty();
    assertThat(byt5.framed(byt5.encoder().encode("hé"), 9).ids())
        .containsExactly('h' + 3, 0xC3 + 3, 0xA9 + 3, 1);
    assertThat(ByteTokenizer.named("bytes:5").vocabulary().mask()).hasValue(4);
    assertThat(ByteTokenizer.named("bytes:0").vocabulary().pad()).isEmpty();
    for (String name : new String[] {"bytes:", "bytes:x", "bytes:-1", "bytes:257"}) {
      assertThatThrownBy(() -> ByteTokenizer.named(name)).isInstanceOf(PerformerException.class);
    }
  }

  @Test
  void croppedSequencesOfLettersHaveNoEnd() {
    LetterTokenizer letters = new LetterTokenizer(ProteinVocabulary.google());
    int[] ids = letters.encoder().encode("ACDE");
    assertThat(letters.framed(ids, 5).ids()).containsExactly(0, 1, 2, 3, 26);
    assertThat(letters.framed(ids, 4).ids()).containsExactly(0, 1, 2, 3);
    assertThat(letters.framed(ids, 4).cropped()).isZero();
    assertThat(letters.framed(ids, 3).cropped()).isEqualTo(1);
    assertThat(letters.decode(letters.framed(ids, 5).ids())).isEqualTo("ACDE");
  }

  @Test
  void aStreamJoinsWordsAsTheWholeTextDoes() {
    JsonTokenizer words =
        JsonTokenizer.read(Path.of("src/test/resources/tokenizers/wordpiece/tokenizer.json"));
    int[] prompt = words.encoder().encode("the attention");
    int[] more = words.encoder().encode("is linear");
    TextStream stream = new TextStream(words, prompt);
    StringBuilder text = new StringBuilder("the attention");
    Arrays.stream(more).forEach(id -> text.append(stream.add(id)));
    assertThat(text.append(stream.rest()).toString()).isEqualTo("the attention is linear");
  }
}
