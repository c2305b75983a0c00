package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** ESM-2 through the command line, from FASTA files to an exported Performer. */
class EsmCommandsTest {
  private static final Path ESM =
      ReferenceModels.directory("checkpoints/torch_families").resolve("esm2_mlm");
  private static final int WIDTH = 12;

  @TempDir Path folder;
  private Path fasta;

  @BeforeEach
  void write() throws IOException {
    fasta = folder.resolve("x.fasta");
    Files.writeString(fasta, ">a\nMKTAY\nIAKQR\n>b\nMKJ\n>c\nM\n");
  }

  private Map<String, NpyArray> arrays(Object... command) {
    Path out = folder.resolve(command[0] + "-" + command.length + ".npz");
    Object[] all = Arrays.copyOf(command, command.length + 2);
    all[command.length] = "--output";
    all[command.length + 1] = out;
    CommandLineRun.of(all).done();
    return Npz.read(out);
  }

  @Test
  void proteinsAreEmbeddedAndScored() {
    Path model = folder.resolve("esm");
    var run = CommandLineRun.of("import", ESM, "--output", model).done();
    assertThat(run.out()).contains("Hugging Face ESM", "contact_head", "rotary frequencies");
    assertThat(CommandLineRun.of("inspect", model).done().out()).contains("WordLevel, 33 tokens");

    var each = arrays("embed", model, "--data", fasta, "--pool", "none");
    assertThat(each.get("tokens").ints())
        .startsWith(0, 20, 15, 11, 5, 19, 12, 5, 15, 16, 10, 2)
        .endsWith(0, 20, 15, 3, 2, 1, 1, 1, 1, 1, 1, 1, 0, 20, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    assertThat(each.get("lengths").ints()).containsExactly(12, 5, 3);
    float[] states = each.get("embeddings").floats(); // [3, 12, E]
    float[] vectors = arrays("embed", model, "--data", fasta).get("embedding").floats();
    int[] residues = {10, 3, 1};
    for (int row = 0; row < residues.length; row++) {
      for (int c = 0; c < WIDTH; c++) {
        float mean = 0;
        for (int i = 1; i <= residues[row]; i++) {
          mean += states[(row * 12 + i) * WIDTH + c] / residues[row];
        }
        assertThat(vectors[row * WIDTH + c]).isCloseTo(mean, within(1e-5f));
      }
    }
    var scores = arrays("score", model, "--data", fasta);
    assertThat(scores.get("tokens").ints()).isEqualTo(each.get("tokens").ints());
    assertThat(arrays("predict", model, "--inputs", fasta)).containsKey("logits");
  }

  @Test
  void aPerformerOfItIsTrainedAndExported() {
    Path favor = folder.resolve("favor");
    CommandLineRun.of("import", ESM, "--attention", "favor", "--features", 8, "--output", favor)
        .done();
    Path run = folder.resolve("run");
    CommandLineRun.of(
            "fine-tune",
            favor,
            "--data",
            fasta,
            "--validation",
            fasta,
            "--output",
            run,
            "--steps",
            2,
            "--length",
            12,
            "--batch-tokens",
            36)
        .done();
    Path exported = folder.resolve("exported");
    CommandLineRun.of("export", run, "--output", exported).done();
    var trained = PerformerModels.load(exported);
    var before = PerformerModels.load(favor);
    assertThat(trained.config()).isEqualTo(before.config());
    assertThat(trained.config().maskRescaling().token()).isEqualTo(32);
    String kernel = "layer_0/attention/query/kernel";
    assertThat(trained.weights().get(kernel).floats())
        .isNotEqualTo(before.weights().get(kernel).floats());
    assertThat(arrays("embed", exported, "--data", fasta).get("embedding").floats())
        .hasSize(3 * WIDTH);
  }
}
