package dev.performer;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.properties.HasName.Predicates.name;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.library.Architectures.LayeredArchitecture;
import com.tngtech.archunit.library.GeneralCodingRules;
import java.util.List;

/** The rooms of the project and the arrows between them. */
@AnalyzeClasses(packages = "dev.performer", importOptions = DoNotIncludeTests.class)
class ArchitectureTest {
  // From the top: a room may know only those after it.
  private static final List<String> ROOMS =
      List.of(
          "cli",
          "server",
          "pipeline",
          "study",
          "serving",
          "distill",
          "recipe",
          "training",
          "savedmodel",
          "checkpoint",
          "model",
          "nn",
          "attention",
          "data",
          "chart",
          "graph");

  @ArchTest static final ArchRule arrowsPointDown = rooms();

  @ArchTest
  static final ArchRule optimizersAndRunsLieBelowTheLoop =
      noClasses()
          .that()
          .resideInAnyPackage("dev.performer.training.optim", "dev.performer.training.run")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("dev.performer.training");

  @ArchTest
  static final ArchRule noCycles =
      slices().matching("dev.performer.(*)..").should().beFreeOfCycles();

  @ArchTest
  static final ArchRule dataKnowsOfTensorFlowItsProtosOnly =
      noClasses()
          .that()
          .resideInAPackage("..data..")
          .should()
          .dependOnClassesThat(
              resideInAPackage("org.tensorflow..")
                  .and(not(resideInAPackage("org.tensorflow.proto.."))));

  @ArchTest
  static final ArchRule graphKnowsTensorFlowOnly =
      classes()
          .that()
          .resideInAPackage("dev.performer.graph..")
          .should()
          .onlyDependOnClassesThat()
          .resideInAnyPackage(
              "dev.performer",
              "dev.performer.graph..",
              "org.tensorflow..",
              "org.bytedeco.javacpp..",
              "com.google.protobuf..",
              "java..");

  @ArchTest
  static final ArchRule onlyTheCommandLineKnowsPicocli =
      noClasses()
          .that()
          .resideOutsideOfPackage("..cli..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("picocli..");

  @ArchTest
  static final ArchRule oneRoomDraws =
      noClasses()
          .that()
          .resideOutsideOfPackage("..chart..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("org.knowm..");

  @ArchTest
  static final ArchRule onlyTheCommandLineExits =
      noClasses()
          .that()
          .resideOutsideOfPackage("..cli..")
          .should()
          .callMethod(System.class, "exit", int.class);

  @ArchTest
  static final ArchRule onlyTheCommandLinePrints =
      noClasses()
          .that()
          .resideOutsideOfPackage("..cli..")
          .should(GeneralCodingRules.ACCESS_STANDARD_STREAMS);

  @ArchTest
  static final ArchRule theCommandLineBuildsAndRunsNoGraph =
      noClasses()
          .that()
          .resideInAPackage("..cli..")
          .should()
          .dependOnClassesThat(
              resideInAPackage("org.tensorflow..").and(not(name("org.tensorflow.TensorFlow"))));

  // The APIs of the server lie side by side, above what knows of none of them.
  @ArchTest
  static final ArchRule apisKnowNoOtherApi =
      slices()
          .matching("dev.performer.server.(*)..")
          .should()
          .notDependOnEachOther()
          .ignoreDependency(
              resideInAPackage("dev.performer.server.."),
              resideInAPackage("dev.performer.server.http")
                  .or(resideInAPackage("dev.performer.server.models"))
                  .or(resideInAPackage("dev.performer.server.generation")));

  @ArchTest
  static final ArchRule onlyOpenAisApiKnowsTemplates =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.performer.server.openai")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("com.hubspot..");

  @ArchTest
  static final ArchRule httpAndRepositoryKnowNoApi =
      noClasses()
          .that()
          .resideInAnyPackage("dev.performer.server.http", "dev.performer.server.models")
          .should()
          .dependOnClassesThat(
              resideInAPackage("dev.performer.server..")
                  .and(not(resideInAPackage("dev.performer.server.http")))
                  .and(not(resideInAPackage("dev.performer.server.models"))));

  @ArchTest
  static final ArchRule onlyTheHttpFrontKnowsVertx =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.performer.server.http")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("io.vertx..");

  @ArchTest
  static final ArchRule onlyTheGrpcApiKnowsGrpc =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.performer.server.grpc")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("io.grpc..");

  private static ArchRule rooms() {
    LayeredArchitecture rooms = layeredArchitecture().consideringOnlyDependenciesInLayers();
    for (String room : ROOMS) {
      rooms = rooms.optionalLayer(room).definedBy("dev.performer." + room + "..");
    }
    for (int i = 0; i < ROOMS.size(); i++) {
      List<String> above = ROOMS.subList(0, i);
      rooms =
          above.isEmpty()
              ? rooms.whereLayer(ROOMS.get(i)).mayNotBeAccessedByAnyLayer()
              : rooms
                  .whereLayer(ROOMS.get(i))
                  .mayOnlyBeAccessedByLayers(above.toArray(String[]::new));
    }
    return rooms;
  }
}
