package example;

import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.data.NpyArray;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.ResidueEncoder;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.serving.GenerationSession;
import dev.performer.serving.Sampling;
import dev.performer.training.ImportedWeights;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Imports a checkpoint, predicts and generates, and logs as Spring Boot's programs do. */
@SpringBootApplication
public class Application implements CommandLineRunner {
  private static final Logger LOG = LoggerFactory.getLogger(Application.class);

  public static void main(String[] args) {
    SpringApplication.run(Application.class, args);
  }

  @Override
  public void run(String... args) {
    Path checkpoint = Path.of(args[0]);
    Path model = Path.of(args[1]);
    var weights = Checkpoints.load(checkpoint, ImportOptions.builder().build());
    ImportedWeights.of(weights, checkpoint, false).write(model, true);

    Vocabulary vocabulary = ProteinVocabulary.google();
    int[] prompt = new ResidueEncoder(vocabulary).encode("MKT");
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      NpyArray tokens = NpyArray.of(prompt, 1, prompt.length);
      NpyArray logits = predictor.predict("serving_default", Map.of("tokens", tokens)).get("logits");
      LOG.info("logits {}", Arrays.toString(logits.shape()));
    }
    try (GenerationSession session = GenerationSession.open(model)) {
      var sampling = new Sampling(false, 1, 0, 1, 1, 0, 1);
      var text = session.generate(List.of(prompt), 0, 20, sampling, OptionalInt.empty(), Set.of(26, 27, 28), (row, token) -> {}).get(0);
      LOG.info("text MKT{}", vocabulary.decode(text.tokens().stream().mapToInt(t -> t).toArray()));
    }
  }
}
