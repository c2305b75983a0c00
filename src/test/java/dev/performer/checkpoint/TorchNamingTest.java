package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.model.Performer.Outputs;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Weights under PyTorch's names compute what NumPy computes from them. */
class TorchNamingTest {
  private static final Path ALL = ReferenceModels.directory("checkpoints/torch_named");

  @ParameterizedTest
  @ValueSource(strings = {"bert_mlm", "bert_plain", "bert_sharded"})
  void bert(String name) {
    ModelWeights imported = Checkpoints.load(ALL.resolve(name), ImportOptions.NONE);
    Map<String, NpyArray> expected = Npz.read(ALL.resolve(name).resolve("expected.npz"));
    Map<String, ImportedOutputs.Part> parts =
        Map.of("sequence", Outputs::sequence, "pooled", Outputs::pooled, "logits", Outputs::logits);
    parts.forEach(
        (output, part) -> {
          if (expected.containsKey(output)) {
            ImportedOutputs.assertClose(
                ImportedOutputs.run(
                    imported,
                    expected.get("tokens"),
                    expected.get("mask"),
                    expected.get("types"),
                    part),
                expected.get(output));
          }
        });
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void performerPytorch(boolean causal) {
    Path folder = ALL.resolve(causal ? "performer_causal" : "performer");
    ModelWeights imported = Checkpoints.load(folder.resolve("model.safetensors"), causal(causal));
    Map<String, NpyArray> expected = Npz.read(folder.resolve("expected.npz"));
    ImportedOutputs.assertClose(
        ImportedOutputs.run(imported, expected.get("tokens"), null, null, Outputs::logits),
        expected.get("logits"));
  }

  private static ImportOptions causal(boolean causal) {
    return ImportOptions.builder().favor(FavorConfig.builder().causal(causal)).build();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void performerPytorchWithGeneralizedAttention(boolean causal) {
    Path folder = ALL.resolve(causal ? "performer_relu_causal" : "performer_relu");
    ImportOptions given =
        ImportOptions.builder()
            .favor(FavorConfig.builder().causal(causal).kernel(Kernel.RELU))
            .build();
    ModelWeights imported = Checkpoints.load(folder.resolve("model.safetensors"), given);
    Map<String, NpyArray> expected = Npz.read(folder.resolve("expected.npz"));
    ImportedOutputs.assertClose(
        ImportedOutputs.run(imported, expected.get("tokens"), null, null, Outputs::logits),
        expected.get("logits"));
  }

  @ParameterizedTest
  @CsvSource({
    "layer_pos_emb.emb.weight, rotary",
    "performer.net.blocks.0.f.net.norm.weight, reversible",
    "performer.net.layers.0.0.fn.local_attn.rel_pos.inv_freq, local attention",
    "pos_emb.weights_0.axial, axial",
    "performer.net.layers.0.0.g, ScaleNorm or ReZero",
    "performer.net.layers.0.0.fn.g, ScaleNorm or ReZero"
  })
  void variantsOfPerformerPytorchAreRefusedByName(String tensor, String name, @TempDir Path folder)
      throws IOException {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (WeightFile file =
        Checkpoints.open(ALL.resolve("performer").resolve("model.safetensors"))) {
      file.tensors().keySet().forEach(own -> arrays.put(own, file.read(own)));
    }
    arrays.put(tensor, NpyArray.of(new float[1], 1));
    Path file = folder.resolve("weights.npz");
    Npz.write(file, arrays);
    assertThatThrownBy(() -> Checkpoints.load(file, ImportOptions.NONE))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(name)
        .hasMessageContaining(tensor);
  }

  @Test
  void aShardThatIsMissingIsNamed(@TempDir Path folder) throws IOException {
    for (String name : new String[] {"model.safetensors.index.json", "config.json"}) {
      Files.copy(ALL.resolve("bert_sharded").resolve(name), folder.resolve(name));
    }
    assertThatThrownBy(() -> Checkpoints.load(folder, ImportOptions.NONE))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("model-0000");
  }

  @Test
  void headsMustBeGiven(@TempDir Path folder) throws IOException {
    Path alone = folder.resolve("model.safetensors");
    Files.copy(ALL.resolve("bert_plain/model.safetensors"), alone);
    assertThatThrownBy(() -> Checkpoints.load(alone, ImportOptions.NONE))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("number of heads")
        .satisfies(e -> assertThat(((PerformerException) e).settings()).containsExactly("heads"));
    ImportOptions three = ImportOptions.builder().heads(3).build();
    assertThat(Checkpoints.load(alone, three).config().heads()).isEqualTo(3);
  }

  @Test
  void allThatDoesNotFitIsListed(@TempDir Path folder) throws IOException {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (WeightFile file = Checkpoints.open(ALL.resolve("bert_plain"))) {
      file.tensors().keySet().forEach(tensor -> arrays.put(tensor, file.read(tensor)));
    }
    arrays.remove("encoder.layer.1.output.dense.bias");
    arrays.put("encoder.layer.0.output.dense.bias", NpyArray.of(new float[3], 3));
    arrays.put("surprise", NpyArray.of(new float[3], 3));
    Path file = folder.resolve("weights.npz");
    Npz.write(file, arrays);
    Files.copy(ALL.resolve("bert_plain/config.json"), folder.resolve("config.json"));
    assertThatThrownBy(() -> Checkpoints.load(file, ImportOptions.NONE))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("missing: layer_1/mlp/out/bias [24]")
        .hasMessageContaining("encoder.layer.0.output.dense.bias has shape [3]")
        .hasMessageContaining("left over: surprise");
    ImportOptions go = ImportOptions.builder().allowMissing(true).build();
    ModelWeights imported = Checkpoints.load(file, go);
    assertThat(imported.weights().get("layer_1/mlp/out/bias").floats()).containsOnly(0);
    assertThat(imported.notes()).anyMatch(note -> note.contains("surprise"));
  }

  @Test
  void mappingFile(@TempDir Path folder) throws IOException {
    ModelWeights direct = Checkpoints.load(ALL.resolve("bert_plain"), ImportOptions.NONE);
    Path mapping = folder.resolve("mapping.yaml");
    StringBuilder text = new StringBuilder("config: {layers: 2, heads: 3}\n");
    text.append("embeddings/token: embeddings.word_embeddings.weight\n");
    text.append("layer_{i}/attention/query/kernel: {from: 'encoder.layer.{i}.attention.self");
    text.append(".query.weight', transpose: true, reshape: [24, 3, 8]}\n");
    Files.writeString(mapping, text);
    Path config = folder.resolve("config.json");
    Files.writeString(config, direct.config().toJson().toString());
    ImportOptions options =
        ImportOptions.builder().config(config).mapping(mapping).allowMissing(true).build();
    ModelWeights mapped = Checkpoints.load(ALL.resolve("bert_plain/model.safetensors"), options);
    for (String name : new String[] {"embeddings/token", "layer_1/attention/query/kernel"}) {
      assertThat(mapped.weights().get(name)).isEqualTo(direct.weights().get(name));
    }
  }

  @Test
  void picklesAreRefused(@TempDir Path folder) throws IOException {
    Path pickle = folder.resolve("pytorch_model.bin");
    Files.write(pickle, new byte[] {(byte) 0x80, 2, 'c', 'o', 's', '\n'});
    assertThatThrownBy(() -> Checkpoints.open(pickle))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("save_file")
        .hasMessageContaining("torch.load('pytorch_model.bin'");
  }

  @Test
  void attentionLayersAreNoModel() {
    Path path = ReferenceModels.directory("checkpoints/gr_relu_bidir").resolve("checkpoint");
    assertThatThrownBy(() -> Checkpoints.load(path, ImportOptions.NONE))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("attention layers only");
  }
}
