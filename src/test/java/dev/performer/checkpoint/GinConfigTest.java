package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GinConfigTest {

  private static GinConfig parse(String text) {
    return GinConfig.parse(Path.of("config.gin"), text);
  }

  @Test
  void readsEveryKindOfValue() {
    GinConfig gin =
        parse(
            """
            # Parameters
            import protein_lm.models
            FlaxLM.emb_dim=32            # no spaces
            models.FlaxLM.heads = 4
            FlaxModel.rate = 1e-3
            FlaxModel.minus = -2
            FlaxModel.none = None
            FlaxModel.text = 'it''s' "!"
            create.factors = \\
                'constant * linear_warmup'
            FlaxModel.list = [1, (2, 3,),   # comment
                {'a': True, "b": 0x10}]
            FlaxModel.attention_fn = @slow/make_fast_softmax_attention()
            make_fast_softmax_attention.nb_features = 16
            slow/make_fast_softmax_attention.nb_features = 32
            width = 64
            FlaxLM.mlp_dim = %width
            FlaxLM.twice = 1
            FlaxLM.twice = 2
            FlaxBERT:
              mask_rate = 0.15
              domain = @data.protein_domain
            """);
    assertThat(gin.value("", "FlaxLM", "emb_dim")).contains(32L);
    assertThat(gin.value("", "FlaxLM", "heads")).contains(4L);
    assertThat(gin.value("", "FlaxModel", "rate")).contains(1e-3);
    assertThat(gin.value("", "FlaxModel", "minus")).contains(-2L);
    assertThat(gin.value("", "FlaxModel", "none")).contains(GinConfig.NONE);
    assertThat(gin.value("", "FlaxModel", "text")).contains("its!");
    assertThat(gin.value("", "create", "factors")).contains("constant * linear_warmup");
    assertThat(gin.value("", "FlaxModel", "list"))
        .contains(List.of(1L, List.of(2L, 3L), Map.of("a", true, "b", 16L)));
    assertThat(gin.value("", "FlaxModel", "attention_fn"))
        .contains(new GinConfig.Reference("slow", "make_fast_softmax_attention", true));
    assertThat(gin.value("slow", "make_fast_softmax_attention", "nb_features")).contains(32L);
    assertThat(gin.value("", "make_fast_softmax_attention", "nb_features")).contains(16L);
    assertThat(gin.value("other", "make_fast_softmax_attention", "nb_features")).contains(16L);
    assertThat(gin.value("", "FlaxLM", "mlp_dim")).contains(64L);
    assertThat(gin.value("", "FlaxLM", "twice")).contains(2L);
    assertThat(gin.value("", "FlaxBERT", "mask_rate")).contains(0.15);
    assertThat(gin.value("", "FlaxLM", "absent")).isEmpty();
    assertThat(gin.skipped()).containsExactly("import protein_lm.models");
  }

  @Test
  void includedFilesAreReadInTheirPlace(@TempDir Path folder) throws IOException {
    Files.createDirectories(folder.resolve("parts"));
    Files.writeString(
        folder.resolve("parts/base.gin"), "include '../width.gin'  # shared\na.b = 1\na.c = %w\n");
    Files.writeString(folder.resolve("width.gin"), "w = 48\n");
    Path main =
        Files.writeString(
            folder.resolve("config.gin"),
            "a.b = 0\na.d = 5\ninclude \"parts/base.gin\"\na.c = 2\n");
    GinConfig gin = GinConfig.read(main);
    assertThat(gin.value("", "a", "b")).contains(1L);
    assertThat(gin.value("", "a", "c")).contains(2L);
    assertThat(gin.value("", "a", "d")).contains(5L);
    Files.writeString(main, "include '" + folder.resolve("width.gin").toAbsolutePath() + "'\n");
    assertThat(GinConfig.read(main).bindings()).containsEntry(GinConfig.Key.macro("w"), 48L);
  }

  @Test
  void includesThatCannotBeFollowedAreNamed(@TempDir Path folder) throws IOException {
    Path main = Files.writeString(folder.resolve("config.gin"), "\ninclude 'gone.gin'\n");
    assertThatThrownBy(() -> GinConfig.read(main))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("config.gin line 2: include 'gone.gin'");
    Files.writeString(main, "include '/no/such/place.gin'\n");
    assertThatThrownBy(() -> GinConfig.read(main)).hasMessageContaining("/no/such/place.gin");
    Files.writeString(main, "include 'other.gin'\n");
    Files.writeString(folder.resolve("other.gin"), "include './config.gin'\n");
    assertThatThrownBy(() -> GinConfig.read(main))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("other.gin line 1")
        .hasMessageContaining("includes itself");
    for (int i = 0; i < 30; i++) {
      Files.writeString(folder.resolve(i + ".gin"), "include '" + (i + 1) + ".gin'\n");
    }
    Files.writeString(folder.resolve("30.gin"), "");
    assertThatThrownBy(() -> GinConfig.read(folder.resolve("0.gin")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("inside each other");
    Files.writeString(folder.resolve("other.gin"), "a.b = \n");
    assertThatThrownBy(() -> GinConfig.read(main)).hasMessageContaining("other.gin line 1");
    Files.writeString(main, "include 'other.gin' 7\n");
    assertThatThrownBy(() -> GinConfig.read(main)).hasMessageContaining("the end of the line");
  }

  @Test
  void linesMayEndAsInWindowsAndBlocksAsInNewerGin() {
    GinConfig gin = parse("a.b = (\r\n  1,\r\n  2)\r\nc:\r\n  d = 1\r\na.e = 3");
    assertThat(gin.value("", "a", "b")).contains(List.of(1L, 2L));
    assertThat(gin.value("", "c", "d")).contains(1L);
    assertThat(gin.value("", "a", "e")).contains(3L);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "a.b",
        "a.b =",
        "a.b = [1, 2",
        "a.b = 'open",
        "a.b = 1 2",
        "a.b = {1 2}",
        "a.b = @",
        "a.b = spam",
        "a.b = 99999999999999999999",
        "= 3",
        "a.b = \"\"\"never closed",
        "a.b = (((("
      })
  void namesTheLine(String line) {
    assertThatThrownBy(() -> parse("# first\n" + line + "\n"))
        .isInstanceOf(PerformerException.class)
        .hasMessageMatching("config.gin line [23]: .*");
  }

  @Test
  void nestingAndCirclesEnd() {
    assertThatThrownBy(() -> parse("a.b = " + "[".repeat(100_000)))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("nested");
    GinConfig gin = parse("x = %y\ny = %x\na.b = %x\na.c = %z\n");
    assertThatThrownBy(() -> gin.value("", "a", "b")).hasMessageContaining("itself");
    assertThatThrownBy(() -> gin.value("", "a", "c")).hasMessageContaining("%z");
  }
}
