package example;

import dev.performer.pipeline.GenerationOptions;
import dev.performer.pipeline.Importer;
import dev.performer.pipeline.Predictor;
import dev.performer.pipeline.TextGenerator;
import dev.performer.serving.Sampling;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.ApplicationArguments;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;

/** One generator for the whole program, closed with it; what happens is logged by Spring Boot. */
@SpringBootApplication
public class Application {
  private static final Logger LOG = LoggerFactory.getLogger(Application.class);

  public static void main(String[] args) {
    SpringApplication.run(Application.class, args);
  }

  @Bean
  Path model(ApplicationArguments arguments) {
    List<String> paths = arguments.getNonOptionArgs();
    Path model = Path.of(paths.get(1));
    Importer.of(Path.of(paths.get(0))).write(model, true);
    return model;
  }

  @Bean
  Predictor predictor(Path model) {
    return Predictor.load(model);
  }

  @Bean
  TextGenerator generator(Path model) {
    return TextGenerator.load(model);
  }

  @Bean
  CommandLineRunner run(Predictor predictor, TextGenerator generator) {
    return arguments -> {
      var logits = predictor.predict(List.of("MKT")).get("logits");
      LOG.info("logits {}", Arrays.toString(logits.shape()));
      var options = GenerationOptions.DEFAULT.withMaxTokens(20).withSampler(Sampling.DEFAULT.withSeed(1));
      LOG.info("text {}", generator.generate("MKT", options).text());
    };
  }
}
