package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A process reads its tuning once, so each of these is one. */
class MachineTuningTest {
  private static final MachineTuning TUNING =
      MachineTuning.of(0, List.of(new MachineTuning.Chunk(48, 24, 17)));

  @TempDir Path folder;

  /** Prints the chunk length of 48 features and values of size 24, of which 17 is no default. */
  static final class Reading {
    public static void main(String[] args) {
      MachineTuning.listen(System.out::println);
      FavorConfig config = FavorConfig.of(Kernel.RELU);
      System.out.println("C " + config.chunkFor(48, 24) + " " + config.chunkFor(48, 25));
      System.out.println("C " + config.toBuilder().chunk(5).build().chunkFor(48, 24));
      MachineTuning.settleThreads();
    }
  }

  private String read(String file) throws IOException, InterruptedException {
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    Process process =
        new ProcessBuilder(
                java.toString(),
                "-XX:TieredStopAtLevel=1",
                "-D" + MachineTuning.PROPERTY + "=" + file,
                "-cp",
                System.getProperty("java.class.path"),
                Reading.class.getName())
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("out").toFile())
            .start();
    assertThat(process.waitFor(5, TimeUnit.MINUTES)).isTrue();
    return Files.readString(folder.resolve("out"));
  }

  @Test
  void whatWasTunedIsUsedWhereNothingIsConfigured() throws Exception {
    Path file = folder.resolve("deep/tuning.json");
    TUNING.write(file);
    String usual = Integer.toString(FavorConfig.formulaChunk(48, 25));
    assertThat(read(file.toString())).isEqualTo("C 17 " + usual + "\nC 5\n");
    assertThat(read("none")).isEqualTo("C " + usual + " " + usual + "\nC 5\n");
  }

  @Test
  void whatCannotBeReadIsIgnoredInOneLine() throws Exception {
    Path file = folder.resolve("tuning.json");
    Files.writeString(file, "{\"processor\": \"abacus\"");
    assertThat(read(file.toString()))
        .matches("(?s)[^\\n]*tuning.json[^\\n]*; ignored[^\\n]*\\nC .*");
    new MachineTuning("abacus", 1, 0, List.of()).write(file);
    assertThat(read(file.toString()))
        .contains("tuning.json: is of another machine; ignored")
        .contains("C " + FavorConfig.formulaChunk(48, 24));
  }

  @Test
  void valuesAreChecked() {
    assertThatThrownBy(() -> new MachineTuning.Chunk(1, 1, 0))
        .isInstanceOf(PerformerException.class);
    assertThatThrownBy(() -> new MachineTuning("abacus", 2, 3, List.of()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("threads");
    assertThat(MachineTuning.file().toString()).contains("performer", "tuning-");
  }
}
