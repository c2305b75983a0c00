package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PerformerExceptionTest {
  @Test
  void manyItemsAreCut() {
    List<String> keys = IntStream.range(0, 47).mapToObj(i -> "key " + i + " is missing").toList();
    PerformerException e = new PerformerException("the weights do not fit", keys).in("model");
    assertThat(e.getMessage().lines()).hasSize(1);
    assertThat(e)
        .hasMessageStartingWith("model: the weights do not fit: key 0 is missing; key 1 is missing")
        .hasMessageEndingWith("key 9 is missing; and 37 more");
    assertThat(e.lines())
        .hasSize(12)
        .startsWith("model: the weights do not fit:", "  key 0 is missing")
        .endsWith("  and 37 more");
    assertThat(e.in("model")).isSameAs(e);
  }

  @Test
  void oneItemStaysOnTheLine() {
    PerformerException e = new PerformerException("wrong", List.of("x".repeat(5000)));
    assertThat(e.lines()).singleElement().asString().hasSizeLessThan(400).startsWith("wrong: xxx");
  }

  @Test
  void quotedTextCannotWriteOnTheTerminal() {
    assertThat(Excerpt.of("a\n \u001b[2Jb\u0000c\u2028d")).isEqualTo("a [2Jb c d");
    assertThat(Excerpt.of("x".repeat(5000))).isEqualTo("x".repeat(300) + "…");
  }

  @Test
  void namesFromDamagedFilesStayOnOneLine() {
    PerformerException e =
        new PerformerException("the node a\nb\u0001" + "x".repeat(100_000) + " is odd");
    assertThat(e.getMessage()).startsWith("the node a b xxx").endsWith("xx is odd");
    assertThat(e.getMessage()).hasSizeLessThan(1300);
    assertThat(e.getMessage().lines()).hasSize(1);
  }
}
