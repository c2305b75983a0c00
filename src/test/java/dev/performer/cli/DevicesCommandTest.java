package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DevicesCommandTest {
  private static final String MODEL = "savedmodels/protein-mlm/saved_model";

  @Test
  void theMachineIsDescribed() {
    JsonNode machine = CommandLineRun.of("devices", "--json").done().json().path("machine");
    assertThat(machine.path("tensorflow").asText()).isNotEmpty();
    assertThat(machine.path("processors").asInt()).isPositive();
    assertThat(machine.path("memoryBytes").asLong()).isGreaterThan(1L << 28);
    assertThat(machine.path("devices").findValuesAsText("type")).contains("CPU");
  }

  @Test
  void opsOfAModelAreListedWithTheirKernels() {
    JsonNode model =
        CommandLineRun.of("devices", MODEL, "--no-compile", "--set", "optimizer=sgd", "--json")
            .done()
            .json()
            .path("model");
    List<String> names = new ArrayList<>();
    List<String> products = new ArrayList<>();
    for (JsonNode check : model.path("checks")) {
      names.add(check.path("name").asText());
      assertThat(check.path("compiled").asBoolean()).isFalse();
      for (JsonNode op : check.path("ops")) {
        assertThat(op.path("gpu").asText()).as(op.toString()).isNotEqualTo("NONE");
        if (op.path("op").asText().equals("BatchMatMulV2")
            || op.path("op").asText().equals("Einsum")
            || op.path("op").asText().equals("MatMul")) {
          products.add(op.path("types").path(0).asText());
        }
      }
    }
    assertThat(names).containsExactly("embed", "serving_default", "fine-tune");
    assertThat(products).isNotEmpty().containsOnly("float32");
  }

  @Test
  void whatIsWrongIsRefusedBeforeAnythingIsShown() {
    CommandLineRun.of("devices", "nowhere").failed(1, "nowhere does not exist");
    CommandLineRun.of("devices", MODEL, "--static-shape", "0,3").failed(2, "--static-shape 0,3");
    CommandLineRun.of("devices", MODEL, "--static-shape", "1,2,3").failed(2, "takes B,L");
    CommandLineRun.of("devices", MODEL, "--set", "optimiser=sgd").failed(1, "optimizer");
  }
}
