package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.Masking;
import dev.performer.model.AttentionConfig;
import dev.performer.testing.ReferenceCase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What config.gin specifies of a protein_lm model is done, or refused by name. */
class ProteinLmGinTest {
  private static final Path MODELS = ReferenceCase.directory("/reference/jax/protein_lm");

  @TempDir Path folder;

  private ModelWeights load(String model, String lines) throws IOException {
    Path source = MODELS.resolve(model);
    Files.copy(source.resolve("checkpoint_300"), folder.resolve("checkpoint_300"));
    String gin = Files.readString(source.resolve("config.gin"));
    Files.writeString(folder.resolve("config.gin"), gin + "\n" + lines + "\n");
    return Checkpoints.load(folder, ImportOptions.NONE);
  }

  @Test
  void masksAreThoseOfTheConfiguration() throws IOException {
    String lines =
        """
        FlaxBERT.mask_rate = 0.3
        FlaxBERT.mask_token_proportion = 0.5
        FlaxBERT.random_token_proportion = %random
        random = 0.25
        """;
    assertThat(load("bert_exact", lines).masking()).contains(new Masking(0.3, 0.5, 0.25));
    assertThat(Checkpoints.load(MODELS.resolve("bert_exact"), ImportOptions.NONE).masking())
        .contains(Masking.PROTEIN_LM);
    assertThat(Checkpoints.load(MODELS.resolve("lm_relu"), ImportOptions.NONE).masking()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "FlaxBERT.mask_rate = 0.0; mask_rate is 0",
        "FlaxBERT.mask_rate = 15; mask_rate is 15",
        "FlaxBERT.mask_token_proportion = 0.9; together",
        "FlaxBERT.mask_token_proportion = None; share",
        "FlaxBERT.mask_ratio = 0.1; no parameter mask_ratio",
        "FlaxBERT.positional_encoding_module = @AddSinusoidalPositionalEncodings; there is a pos_embedding",
        "FlaxBERT.positional_encoding_module = @AddRelative; @AddRelative",
        "FlaxModel.positional_encoding_module = None; is None",
        "FlaxBERT.output_head = 'regression'; output_head is regression",
        "FlaxBERT.output_head = ['output_emb']; output_head",
        "FlaxBERT.self_attention_module = @LinearAttention; self_attention_module",
        "FlaxModel.model_cls = @MyTransformer; model_cls",
        "FlaxModel.domain = @dna_domain(); domain",
        "FlaxBERT.dropout_rate = 'much'; dropout_rate is much",
        "FlaxBERT.dropout_rate = 1.5; dropout_rate is 1.5",
        "FlaxBERT.causal = 3; causal is 3",
        "FlaxBERT.max_len = 512; max_len is 512",
        "make_protein_domain.order = 'A'; no parameter order",
        "ProteinVocab.include_align_tokens = True; include_align_tokens",
        "Vocabulary.mask_token = '#'; mask_token is '#'",
        "MlpBlock.dropout_rate = 0.0; MlpBlock.dropout_rate changes the network"
      })
  void whatWouldBeAnotherModelIsRefusedByName(String line, String message) {
    assertThatThrownBy(() -> load("bert_exact", line))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("config.gin")
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "make_fast_softmax_attention.nb_feature = 8",
        "make_fast_softmax_attention.kernel_fn = @jexp",
        "FlaxModel.attention_fn = @s/make_fast_softmax_attention()\ns/make_fast_softmax_attention.x = 1"
      })
  void attentionTakesOnlyWhatItHas(String line) {
    assertThatThrownBy(() -> load("bert_softmax_favor", line))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("make_fast_softmax_attention has no parameter");
  }

  @Test
  void whatChangesNothingIsTaken() throws IOException {
    String lines =
        """
        FlaxBERT.positional_encoding_module = @modules.AddLearnedPositionalEncodings
        FlaxBERT.self_attention_module = @nn.SelfAttention
        FlaxBERT.output_head = ('logits', 'output_emb')
        FlaxModel.domain = @data.make_protein_domain()
        FlaxModel.batch_size = 8
        FlaxBERT.max_len = 64
        FlaxBERT.dropout_rate = 0.25
        train.experiment = 'x'
        """;
    ModelWeights model = load("bert_exact", lines);
    assertThat(model.notes()).anyMatch(note -> note.contains("output_emb"));
    assertThat(model.config().dropout().mlp()).isEqualTo(0.25);
    assertThat(model.weights())
        .isEqualTo(Checkpoints.load(MODELS.resolve("bert_exact"), ImportOptions.NONE).weights());
  }

  @Test
  void exactAttentionIsCausalAsGiven() throws IOException {
    ModelWeights model = load("bert_exact", "FlaxBERT.causal = True");
    assertThat(model.config().attentionOf(0))
        .isInstanceOfSatisfying(
            AttentionConfig.Exact.class, exact -> assertThat(exact.causal()).isTrue());
  }
}
